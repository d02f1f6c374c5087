import type { DestinationBinding } from '../plan/bindings.ts';

interface Entry {
  readonly bindings: DestinationBinding[];
  readonly timer: NodeJS.Timeout;
}

/** Where runs stored their sets, for some time after they have ended: so that copies by wiring find them. */
export class RememberedDestinations {
  readonly #forMs: number;
  readonly #runs = new Map<string, Entry>();

  constructor(forMs: number) {
    this.#forMs = forMs;
  }

  /** Each call for a run begins its time anew. Does not keep the process alive. */
  add(runId: string, bindings: readonly DestinationBinding[]): void {
    const before = this.#runs.get(runId);
    clearTimeout(before?.timer);
    const timer = setTimeout(() => this.#runs.delete(runId), this.#forMs).unref();
    this.#runs.set(runId, { bindings: [...(before?.bindings ?? []), ...bindings], timer });
  }

  find(runId: string, node: string): DestinationBinding | undefined {
    return this.#runs.get(runId)?.bindings.findLast((binding) => binding.node === node);
  }
}
