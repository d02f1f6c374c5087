import type { Clock } from '../../lib/clock.ts';
import type { HealthCheck, Verdict } from '../../lib/health/check.ts';

/** Nodes get 15 s to close, and start at once. In ms. */
const DEPLOY_MS = 60_000;

interface FlowEvents {
  on(event: string, listener: () => void): unknown;
  removeListener(event: string, listener: () => void): unknown;
}

export interface FlowsCheckParts {
  readonly events: FlowEvents;
  readonly clock: Clock;
  /** Aborted when Node-RED ends. */
  readonly closing: AbortSignal;
  /** True when there is no backup node that could have to start. */
  isEmpty(): boolean;
}

/** The flow has started, and does not end. */
export class FlowsCheck implements HealthCheck {
  readonly name = 'flows';
  readonly #parts: FlowsCheckParts;
  #state: 'starting' | 'started' | 'deploying' = 'starting';
  /** When the last deploy began, in ms. */
  #since = 0;

  constructor(parts: FlowsCheckParts) {
    this.#parts = parts;
    parts.events.on('flows:started', this.#started);
    parts.events.on('flows:stopping', this.#stopping);
  }

  look(): Verdict {
    if (this.#parts.closing.aborted) return { state: 'fail', message: 'DBackup is ending' };
    if (this.#state === 'deploying') return this.#deploying();
    if (this.#state === 'started') return { state: 'ok', message: 'The flow has started' };
    if (this.#parts.isEmpty()) return { state: 'ok', message: 'There is no backup node' };
    return { state: 'fail', message: 'The flow is starting' };
  }

  #deploying(): Verdict {
    const { clock, isEmpty } = this.#parts;
    if (clock.now() - this.#since < DEPLOY_MS)
      return { state: 'warn', message: 'A deploy is replacing nodes' };
    if (isEmpty()) return { state: 'ok', message: 'There is no backup node' };
    return {
      state: 'fail',
      message: 'The flow was stopped and has not started again: see the log, and deploy it',
    };
  }

  dispose(): void {
    this.#parts.events.removeListener('flows:started', this.#started);
    this.#parts.events.removeListener('flows:stopping', this.#stopping);
  }

  readonly #started = (): void => {
    this.#state = 'started';
  };

  readonly #stopping = (): void => {
    this.#state = 'deploying';
    this.#since = this.#parts.clock.now();
  };
}
