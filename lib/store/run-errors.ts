import type { RecordedError, RunRecord } from './history.ts';

/** Why a run did not succeed: its own error, else those of its databases and destinations; null when there is none. */
export function errorOf({ error, artifacts, destinations }: RunRecord): RecordedError | null {
  if (error !== null) return error;
  const parts = [
    ...artifacts.map((artifact) => ({ about: artifact.database, error: artifact.error })),
    ...destinations.map((destination) => ({ about: destination.label, error: destination.error })),
  ];
  const errors = parts.flatMap((part) => (part.error === null ? [] : [{ ...part, error: part.error }]));
  // That no destination was left to take a database says what the destination says.
  const failed = errors.filter((one) => !errors.some((other) => repeats(one.error, other.error)));
  const [first] = failed;
  if (first === undefined) return null;
  const message = failed.map((part) => `${part.about}: ${part.error.message}`).join('; ');
  return { code: first.error.code, message };
}

function repeats(one: RecordedError, other: RecordedError): boolean {
  return one.message.length > other.message.length && one.message.endsWith(other.message);
}
