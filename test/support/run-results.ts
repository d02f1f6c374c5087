import { BackupError } from '../../lib/errors.ts';
import type { RunResult } from '../../lib/runs/outcome.ts';
import { sampleManifest } from './sample-manifest.ts';

/** A run of two databases and two destinations, one of each of which failed. */
export function partialResult(runId: string): RunResult {
  const error = new BackupError('corrupt', 'stock.db is not a database');
  const reference = { path: 'shop/x', node: 'd1', storage: 'file:///near', status: 'partial' } as const;
  return {
    runId,
    job: 'shop',
    state: 'partial',
    openedAt: new Date('2026-03-01T10:00:00Z'),
    finishedAt: new Date('2026-03-01T10:00:05Z'),
    rawBytes: 4096,
    artifacts: [
      { node: 's1', database: 'shop.db' },
      { node: 's1', database: 'stock.db', error },
    ],
    destinations: [
      { node: 'd1', label: 'near', set: { reference, manifest: sampleManifest(), healed: false } },
      { node: 'd2', label: 'far', error: new BackupError('no-space', 'far is full') },
    ],
  };
}
