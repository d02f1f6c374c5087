import { completeSet } from '../backupset/writer.ts';
import { BackupError, throwIfAborted, toBackupError } from '../errors.ts';
import type { RunResult } from '../runs/outcome.ts';
import { concludeRun } from './conclusion.ts';
import { dumpAll } from './dump-phase.ts';
import { healDestination } from './heal.ts';
import type { SealedRun } from './planning-run.ts';
import { ProgressMeter } from './progress.ts';
import { type ExecutionContext, RunAccount } from './run-account.ts';
import { runManifest } from './run-manifest.ts';

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
      if (destinations.length === 0) throw noDestination(this.#run);
      await dumpAll(this.#run, this.#account, this.#meter, signal);
      await this.#complete();
      await this.#heal();
    } catch (error) {
      failure = toBackupError(error);
    }
    await this.#discardUncommitted();
    const { artifacts, rawBytes } = this.#account;
    return concludeRun(this.#run, { destinations, artifacts, rawBytes, failure, cancelled: signal.aborted });
  }

  async #complete(): Promise<void> {
    const { host, signal } = this.#context;
    const finishedAt = new Date();
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

  async #heal(): Promise<void> {
    const { signal } = this.#context;
    const { destinations } = this.#account;
    for (const destination of destinations.filter(({ live }) => !live)) {
      throwIfAborted(signal);
      this.#meter.stage('healing');
      const { node, binding } = destination;
      const healed = await healDestination(destination, destinations, {
        transforms: this.#run.transforms,
        signal,
        onBytes: (total) => this.#meter.stored(node, total),
      });
      if (healed === undefined) continue;
      this.#account.notice('info', `${binding.label} was healed by copying from ${healed}`, node);
    }
  }

  async #discardUncommitted(): Promise<void> {
    const left = this.#account.destinations.filter(({ committed }) => committed === undefined);
    await Promise.all(left.map(({ folder }) => folder.discard()));
  }
}

function noDestination(run: SealedRun): BackupError {
  return new BackupError(
    'invalid-config',
    `Run ${run.id} of ${run.job} reached no destination: wire a destination node after the source, and see the errors of the nodes between them`,
  );
}
