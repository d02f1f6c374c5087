import { BackupError } from '../errors.ts';

/** How many runs may go on at a time. */
export interface QueueLimits {
  /** In all. At least 1. */
  readonly concurrency: number;
  /** On one database server. At least 1. */
  readonly perServer: number;
}

export const DEFAULT_QUEUE_LIMITS: QueueLimits = { concurrency: 2, perServer: 1 };

export const NO_QUEUE_LIMITS: QueueLimits = {
  concurrency: Number.POSITIVE_INFINITY,
  perServer: Number.POSITIVE_INFINITY,
};

/** More is a mistake. */
export const MOST_AT_A_TIME = 1000;

/** @throws BackupError `invalid-config` when a limit would let nothing run */
export function requireLimits({ concurrency, perServer }: QueueLimits): void {
  for (const [name, limit] of Object.entries({ concurrency, perServer })) {
    if (limit === Number.POSITIVE_INFINITY || (Number.isSafeInteger(limit) && limit >= 1)) continue;
    throw new BackupError(
      'invalid-config',
      `The limit ${name} is ${limit}: give it a whole number of at least 1`,
    );
  }
}
