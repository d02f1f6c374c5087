interface FlowEvents {
  on(event: string, listener: () => void): unknown;
  removeListener(event: string, listener: () => void): unknown;
}

/**
 * Knows when a deploy is replacing nodes: from the moment Node-RED begins to stop them (each may take 15 s)
 * until it has started the new ones. What is sent in between reaches nobody, without an error.
 */
export class DeployWindow {
  readonly #events: FlowEvents;
  readonly #whenStarted = new Set<() => void>();
  #started: PromiseWithResolvers<void> | undefined;

  constructor(events: FlowEvents) {
    this.#events = events;
    events.on('flows:stopping', this.#open);
    events.on('flows:started', this.#close);
  }

  /**
   * Does it at once, or, when a deploy is going on, after the new nodes have started. The promise is there only
   * in that second case; it never settles when Node-RED ends or the new flow cannot start.
   */
  afterDeploy(action: () => void): Promise<void> | undefined {
    if (this.#started !== undefined) return this.#started.promise.then(action);
    action();
    return undefined;
  }

  /** Does it when the nodes that are being started now have all been started. */
  onceStarted(action: () => void): void {
    this.#whenStarted.add(action);
  }

  dispose(): void {
    this.#whenStarted.clear();
    this.#events.removeListener('flows:stopping', this.#open);
    this.#events.removeListener('flows:started', this.#close);
  }

  readonly #open = (): void => {
    this.#started ??= Promise.withResolvers();
  };

  readonly #close = (): void => {
    this.#started?.resolve();
    this.#started = undefined;
    const actions = [...this.#whenStarted];
    this.#whenStarted.clear();
    for (const action of actions) action();
  };
}
