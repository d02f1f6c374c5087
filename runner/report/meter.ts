import type { SingleBar } from 'cli-progress';
import { formatBytes } from '../../nodes/status/quantities.ts';

/** Shows how far a long operation of known size has come, on a terminal only. */
export interface Meter {
  /** Bytes done so far, and how many there are. */
  update(done: number, total: number): void;
  stop(): void;
}

const SILENT: Meter = { update() {}, stop() {} };

export async function createMeter(label: string): Promise<Meter> {
  if (!process.stderr.isTTY) return SILENT;
  const { SingleBar } = await import('cli-progress');
  const bar = new SingleBar({
    format: `${label} {bar} {percentage} % {size}`,
    barsize: 24,
    barCompleteChar: '█',
    barIncompleteChar: '░',
    hideCursor: true,
    clearOnComplete: true,
  });
  return barMeter(bar);
}

function barMeter(bar: SingleBar): Meter {
  let started = false;
  return {
    update(done, total) {
      const payload = { size: `${formatBytes(done)} of ${formatBytes(total)}` };
      if (!started) bar.start(total, done, payload);
      started = true;
      bar.update(done, payload);
    },
    stop: () => bar.stop(),
  };
}
