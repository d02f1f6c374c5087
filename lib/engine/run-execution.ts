import { completeSet } from '../backupset/writer.ts';
import { BackupError, throwIfAborted, toBackupError } from '../errors.ts';
import type { RunResult } from '../runs/outcome.ts';
import { concludeRun } from './conclusion.ts';
import { retryDestinations } from './destination-retries.ts';
import { DumpPhase } from './dump-phase.ts';
import type { SealedRun } from './planning-run.ts';
import { ProgressMeter } from './progress.ts';
import { type AccountContext, RunAccount } from './run-account.ts';
import { runManifest } from './run-manifest.ts';
import { verifyCopies } from './verification.ts';

export interface ExecutionContext extends AccountContext {
  /** Called before committed sets are read back. Never rejects. */
  verifying(): Promise<void>;
}

/**
 * Runs a sealed plan from the first database to the last manifest. Every destination is settled when
 * this resolves, and what belongs to no set is removed.
 */
export async function executeRun(run: SealedRun, context: ExecutionContext): Promise<RunResult> {
  return new RunExecution(run, context).execute();
}

class RunExecution {
  readonly #run: SealedRun;
  readonly #context: ExecutionContext;
  readonly #account: RunAccount;
  readonly #meter: ProgressMeter;

  constructor(run: SealedRun, context: ExecutionContext) {
    this.#run = run;
    this.#context = context;
    this.#account = new RunAccount(run, context);
    const nodes = [
      ...run.sources.keys(),
      ...run.transforms.keys(),
      ...this.#account.destinations.map(({ node }) => node),
    ];
    this.#meter = new ProgressMeter({ runId: run.id, job: run.job, nodes }, (progress) =>
      context.events.emit('progress', progress),
    );
  }

  async execute(): Promise<RunResult> {
    const { signal } = this.#context;
    const { destinations } = this.#account;
    let failure: BackupError | undefined;
    try {
      throwIfAborted(signal);
      await this.#store();
      await this.#verify();
    } catch (error) {
      failure = toBackupError(error);
    }
    await this.#discardUncommitted();
    const { artifacts, rawBytes } = this.#account;
    const facts = { destinations, artifacts, rawBytes, failure, cancelled: signal.aborted };
    const result = concludeRun(this.#run, facts, this.#context.retries.date());
    this.#noticeSpare(result);
    return result;
  }

  /** Until every destination has its set, or cannot have it. */
  async #store(): Promise<void> {
    const { retries, signal } = this.#context;
    const { transforms } = this.#run;
    const shared = { account: this.#account, meter: this.#meter, retries, signal };
    const dumps = new DumpPhase(this.#run, shared);
    const complete = () => this.#complete();
    await dumps.list();
    await dumps.dumpMissing();
    await this.#complete();
    try {
      await retryDestinations({ ...shared, dumps, transforms, complete });
    } finally {
      dumps.recordUntaken();
    }
  }

  async #complete(): Promise<void> {
    const { host, retries, signal } = this.#context;
    const finishedAt = retries.date();
    this.#meter.stage('committing');
    const live = this.#account.destinations.filter((destination) => destination.live);
    await Promise.all(
      live.map(async (destination) => {
        if (destination.stored.length === 0) return;
        try {
          throwIfAborted(signal);
          const manifest = runManifest(this.#run, destination, { host, finishedAt });
          await completeSet(destination.folder, manifest);
          destination.commit(manifest, false);
        } catch (error) {
          this.#account.drop(destination.node, toBackupError(error));
        }
      }),
    );
  }

  async #verify(): Promise<void> {
    const { needs } = this.#run;
    const { retries, signal } = this.#context;
    if (needs.destinations !== 'copies') return;
    await this.#context.verifying();
    throwIfAborted(signal);
    await verifyCopies(needs.copies, { account: this.#account, meter: this.#meter, retries, signal });
  }

  /** What failed in a run that has succeeded without it is nobody's error, and must be seen all the same. */
  #noticeSpare({ state, destinations }: RunResult): void {
    if (state !== 'succeeded') return;
    for (const { node, label, error } of destinations) {
      if (error === undefined) continue;
      this.#account.notice('warn', `${label} failed, and the run does without it: ${error.message}`, node);
    }
  }

  async #discardUncommitted(): Promise<void> {
    const left = this.#account.destinations.filter(({ committed }) => committed === undefined);
    await Promise.all(left.map(({ folder }) => folder.discard()));
  }
}

/** @throws BackupError `invalid-config` when what the run needs cannot come about */
export function requireDestinations({ id, job, joined, needs }: SealedRun): void {
  if (joined.length === 0) {
    throw new BackupError(
      'invalid-config',
      `Run ${id} of ${job} reached no destination: wire a destination node after the source, and see the errors of the nodes between them`,
    );
  }
  if (needs.destinations !== 'copies' || needs.copies <= joined.length) return;
  throw new BackupError(
    'invalid-config',
    `Run ${id} of ${job} needs ${needs.copies} verified copies, and reached ${joined.length} destination${joined.length === 1 ? '' : 's'}: wire more of them after the source, or let it need fewer copies`,
  );
}
