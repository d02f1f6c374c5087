import { throwIfAborted, toBackupError } from '../errors.ts';
import type { TransformBinding } from '../plan/bindings.ts';
import type { DestinationRun } from './destination-run.ts';
import type { DumpPhase } from './dump-phase.ts';
import { donorsOf, healDestination } from './heal.ts';
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
  /** Whose sets could not be copied to each of them. */
  readonly #failedDonors = new Map<DestinationRun, Set<DestinationRun>>();

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
    const out = destinations.filter(
      (each) => each.committed === undefined && each.error !== undefined && each.folder.isSettled,
    );
    const attempts: Attempt[] = [];
    const alone: DestinationRun[] = [];
    for (const destination of out) {
      const donors = donorsOf(destination, committed);
      const donor = this.#donorFor(destination, donors);
      if (donor !== undefined) attempts.push({ first: destination, group: [], donor });
      else if (donors.length === 0 && this.#dumpsAgainFor(destination)) alone.push(destination);
    }
    const group = dumpTogether(alone);
    for (const first of group) attempts.push({ first, group, donor: undefined });
    return attempts.reduce<Attempt | undefined>(
      (soonest, each) =>
        soonest !== undefined && this.#waitOf(soonest) <= this.#waitOf(each) ? soonest : each,
      undefined,
    );
  }

  /** How many attempts a destination that dropped out has in all. */
  #attemptsOf({ error }: DestinationRun): number {
    return error === undefined ? 0 : this.#context.retries.destinationAttempts(error);
  }

  /** Whose set is copied next. A copy may also fail because of its donor: then another one gets its chance. */
  #donorFor(destination: DestinationRun, donors: readonly DestinationRun[]): DestinationRun | undefined {
    const { attempts } = destination;
    const failed = this.#failedDonors.get(destination) ?? new Set();
    const other = donors.find((donor) => !failed.has(donor));
    const most = this.#context.retries.limits.destinationAttempts;
    const isOpen = attempts < this.#attemptsOf(destination) || (failed.size > 0 && attempts < most);
    if (other !== undefined) return isOpen ? other : undefined;
    return attempts < this.#attemptsOf(destination) ? donors[attempts % donors.length] : undefined;
  }

  #dumpsAgainFor(destination: DestinationRun): boolean {
    if (destination.error?.transient !== true || destination.attempts >= this.#attemptsOf(destination))
      return false;
    return this.#context.dumps.attemptsLeft(destination) > 0;
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
    const attempts = Math.max(first.attempts + 1, Math.min(this.#attemptsOf(first), first.attempts + left));
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
      const failed = this.#failedDonors.get(destination) ?? new Set();
      this.#failedDonors.set(destination, failed.add(donor));
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
    (each) => each === leader || donorsOf(each, [leader]).length === 0 || each.holdsSameAs(leader),
  );
}
