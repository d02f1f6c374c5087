export { formatBytes } from '../../lib/quantities.ts';

/** The time of day in the server's time zone: `12:30`. */
export function formatTime(at: Date): string {
  return `${pad(at.getHours())}:${pad(at.getMinutes())}`;
}

function pad(value: number): string {
  return String(value).padStart(2, '0');
}
