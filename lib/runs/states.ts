/** How a run ended. See `RunResult` for what each of them says. */
export const FINAL_STATES = ['succeeded', 'partial', 'failed', 'cancelled'] as const;

/**
 * What a run passes until then. `planning`: its messages travel. `queued`: it waits for its turn. `running`: its databases
 * are being dumped and stored. `verifying`: what is stored is read back.
 */
export const ACTIVE_STATES = ['planning', 'queued', 'running', 'verifying'] as const;

/** Every one of them. `skipped` is a run that was due and not begun: it has no other state before or after. */
export const RUN_STATES = [...ACTIVE_STATES, ...FINAL_STATES, 'skipped'] as const;

export type FinalState = (typeof FINAL_STATES)[number];
export type ActiveState = (typeof ACTIVE_STATES)[number];
export type RunState = (typeof RUN_STATES)[number];

const NEXT: Readonly<Record<ActiveState, readonly RunState[]>> = {
  planning: ['queued', 'running', 'failed', 'cancelled'],
  queued: ['running', 'failed', 'cancelled'],
  running: ['verifying', ...FINAL_STATES],
  verifying: FINAL_STATES,
};

/** Whether a run that is in one state may enter another one. */
export function mayFollow(from: RunState, to: RunState): boolean {
  return isActiveState(from) && NEXT[from].includes(to);
}

/** Whether a run in that state has not ended. */
export function isActiveState(state: RunState): state is ActiveState {
  return (ACTIVE_STATES as readonly RunState[]).includes(state);
}
