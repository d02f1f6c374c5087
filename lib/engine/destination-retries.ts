import { throwIfAborted, toBackupError } from '../errors.ts';
import type { TransformBinding } from '../plan/bindings.ts';
import type { DestinationRun } from './destination-run.ts';
import type { DumpPhase } from './dump-phase.ts';
import { donorOf, healDestination } from './heal.ts';
import type { ProgressMeter } from './progress.ts';
import { attemptText, type Retries } from './retries.ts';
import type { RunAccount } from './run-account.ts';

export interface DestinationRetryContext {
  readonly account: RunAccount;
  readonly dumps: DumpPhase;
  readonly meter: ProgressMeter;
  readonly retries: Retries;
  readonly transforms: ReadonlyMap<string, TransformBinding>;
  readonly signal: AbortSignal;
  /** Completes the sets of the live destinations. */
  complete(): Promise<void>;
}

/** The next thing to try: copy a sibling's set to one destination, or dump again for some. */
interface Attempt {
  /** Whose turn it is. */
  readonly first: DestinationRun;
  /** With the first one: those that get the dump too, since it is made anyway. */
  readonly group: readonly DestinationRun[];
  readonly donor: DestinationRun | undefined;
}

/**
 * Tries again to give their sets to the destinations that dropped out, as long as their errors allow it: from
 * a sibling's committed copy where that is possible, else from another dump.
 * @throws BackupError when the signal aborts
 */
export async function retryDestinations(context: DestinationRetryContext): Promise<void> {
  await new DestinationRetries(context).run();
}

class DestinationRetries {
  readonly #context: DestinationRetryContext;
  /** How long each of them waits after so many attempts that failed, in ms. */
  readonly #pauses = new Map<DestinationRun, { readonly attempts: number; readonly ms: number }>();

  constructor(context: DestinationRetryContext) {
    this.#context = context;
  }

  async run(): Promise<void> {
    for (let attempt = this.#next(); attempt !== undefined; attempt = this.#next()) {
      throwIfAborted(this.#context.signal);
      await this.#waitFor(attempt);
      if (attempt.donor === undefined) await this.#dumpAgain(attempt);
      else await this.#heal(attempt.first, attempt.donor);
    }
    const { account, signal } = this.#context;
    if (account.destinations.some(({ committed }) => committed === undefined)) throwIfAborted(signal);
  }

  #next(): Attempt | undefined {
    const { destinations } = this.#context.account;
    const committed = destinations.filter((each) => each.committed !== undefined);
    const open = destinations.filter(
      (each) => this.#attemptsOf(each) > each.attempts && each.folder.isSettled,
    );
    const attempts: Attempt[] = [];
    const alone: DestinationRun[] = [];
    for (const destination of open) {
      const donor = donorOf(destination, committed);
      if (donor !== undefined) attempts.push({ first: destination, group: [], donor });
      else if (this.#dumpsAgainFor(destination)) alone.push(destination);
    }
    const group = dumpTogether(alone);
    for (const first of group) attempts.push({ first, group, donor: undefined });
    return attempts.reduce<Attempt | undefined>(
      (soonest, each) =>
        soonest !== undefined && this.#waitOf(soonest) <= this.#waitOf(each) ? soonest : each,
      undefined,
    );
  }

  /** How many attempts a destination that dropped out has in all; none for the others. */
  #attemptsOf({ error, committed }: DestinationRun): number {
    if (error === undefined || committed !== undefined) return 0;
    return this.#context.retries.destinationAttempts(error);
  }

  #dumpsAgainFor(destination: DestinationRun): boolean {
    return destination.error?.transient === true && this.#context.dumps.attemptsLeft(destination) > 0;
  }

  /** What is left of the pause, in ms; never more than all of it, whatever was done to the clock. */
  #waitOf({ first }: Attempt): number {
    const { attempts, failedAt } = first;
    const { retries } = this.#context;
    const known = this.#pauses.get(first);
    const ms = known?.attempts === attempts ? known.ms : retries.pauseAfter(attempts);
    this.#pauses.set(first, { attempts, ms });
    const passed = Math.max(0, retries.now() - failedAt);
    return Math.max(0, ms - passed);
  }

  async #waitFor(attempt: Attempt): Promise<void> {
    const { account, dumps, meter, retries, signal } = this.#context;
    const { first, group, donor } = attempt;
    const { label } = first.binding;
    const ms = this.#waitOf(attempt);
    const left = donor === undefined ? dumps.attemptsLeft(first) : Number.POSITIVE_INFINITY;
    const attempts = Math.min(this.#attemptsOf(first), first.attempts + left);
    const next = { attempt: first.attempts + 1, attempts, seconds: Math.ceil(ms / 1000) };
    const how = donor === undefined ? 'another dump' : `a copy from ${donor.binding.label}`;
    account.notice('info', `${label} gets ${how}: ${attemptText(next)}`, first.node);
    const nodes = donor === undefined ? group.map(({ node }) => node) : [first.node];
    await retries.wait(ms, signal, (seconds) => meter.waiting({ ...next, nodes, seconds }));
  }

  async #heal(destination: DestinationRun, donor: DestinationRun): Promise<void> {
    const { account, meter, retries, transforms, signal } = this.#context;
    const { node, binding } = destination;
    const from = donor.binding.label;
    meter.stage('healing');
    destination.again();
    try {
      const onBytes = (total: number) => meter.stored(node, total);
      await healDestination(destination, donor, { transforms, signal, onBytes });
    } catch (thrown) {
      const error = toBackupError(thrown);
      destination.failCopy(error, from, retries.now());
      throwIfAborted(signal);
      account.notice('warn', `${binding.label} got no copy from ${from}: ${error.message}`, node);
      return;
    }
    account.notice('info', `${binding.label} was healed by copying from ${from}`, node);
  }

  async #dumpAgain({ group }: Attempt): Promise<void> {
    const { account, dumps, complete } = this.#context;
    for (const destination of group) {
      destination.again();
      try {
        destination.keep(await destination.resume(destination.stored));
      } catch (error) {
        throwIfAborted(this.#context.signal);
        account.drop(destination.node, toBackupError(error));
      }
    }
    await dumps.dumpMissing();
    await complete();
    for (const { committed, attempts, binding, node } of group) {
      if (committed === undefined) continue;
      account.notice('info', `${binding.label} has stored its set at attempt ${attempts}`, node);
    }
  }
}

/**
 * Who gets the next dump: the one that holds most already, and all those with it that could not have a copy
 * from it later, or that lack exactly the same.
 */
function dumpTogether(alone: readonly DestinationRun[]): DestinationRun[] {
  const [leader] = alone.toSorted((a, b) => b.stored.length - a.stored.length);
  if (leader === undefined) return [];
  return alone.filter(
    (each) => each === leader || donorOf(each, [leader]) === undefined || each.holdsSameAs(leader),
  );
}
