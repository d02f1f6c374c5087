import type { HealthCheck, Verdict } from '../../lib/health/check.ts';

interface FlowEvents {
  on(event: string, listener: () => void): unknown;
  removeListener(event: string, listener: () => void): unknown;
}

export interface FlowsCheckParts {
  readonly events: FlowEvents;
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

  constructor(parts: FlowsCheckParts) {
    this.#parts = parts;
    parts.events.on('flows:started', this.#started);
    parts.events.on('flows:stopping', this.#stopping);
  }

  look(): Verdict {
    if (this.#parts.closing.aborted) return { state: 'fail', message: 'DBackup is ending' };
    if (this.#state === 'deploying') return { state: 'warn', message: 'A deploy is replacing nodes' };
    if (this.#state === 'started') return { state: 'ok', message: 'The flow has started' };
    if (this.#parts.isEmpty()) return { state: 'ok', message: 'There is no backup node' };
    return { state: 'fail', message: 'The flow is starting' };
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
  };
}
