import type { RunResult } from './outcome.ts';
import type { RunState } from './states.ts';

/** Where runs are written down before they happen. The store implements it; a test may keep a list. */
export interface RunJournal {
  /** Resolves when the record is durable: the engine starts nothing before. */
  opened(run: { readonly id: string; readonly job: string; readonly openedAt: Date }): Promise<void>;
  state(runId: string, state: RunState): Promise<void>;
  finished(result: RunResult): Promise<void>;
}

export const NO_JOURNAL: RunJournal = {
  opened: async () => undefined,
  state: async () => undefined,
  finished: async () => undefined,
};
