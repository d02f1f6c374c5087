import type { FailedArtifact, Manifest, StoredArtifact } from '../backupset/manifest.ts';
import { isStored } from '../backupset/manifest.ts';
import { jobFolder, joinPath } from '../backupset/names.ts';
import { BackupError } from '../errors.ts';
import type { DestinationBinding } from '../plan/bindings.ts';
import type { PathStep } from '../plan/recipe.ts';
import type { CommittedSet } from '../runs/outcome.ts';
import { inOrder } from './in-order.ts';
import type { Joined } from './planning-run.ts';
import { SetFolder, type SetFolderContext } from './set-folder.ts';

/** One destination's side of a run: what it holds so far, and whether it is still in. */
export class DestinationRun {
  readonly binding: DestinationBinding;
  readonly path: readonly PathStep[];
  /** Set folder below the prefix: `<job>/<run id>`. */
  readonly setPath: string;
  readonly folder: SetFolder;
  readonly #joined: Joined;
  readonly #artifacts = new Map<number, StoredArtifact | FailedArtifact>();
  #error: BackupError | undefined;
  #committed: CommittedSet | undefined;

  constructor(joined: Joined, run: { job: string; id: string }, context: SetFolderContext) {
    this.#joined = joined;
    this.binding = joined.binding;
    this.path = joined.recipe.path;
    this.setPath = joinPath(jobFolder('', run.job), run.id);
    this.folder = new SetFolder(joined.binding, joinPath(joined.binding.prefix, this.setPath), context);
  }

  get node(): string {
    return this.binding.node;
  }

  get error(): BackupError | undefined {
    return this.#error;
  }

  get committed(): CommittedSet | undefined {
    return this.#committed;
  }

  /** Still takes part in the pass. */
  get live(): boolean {
    return this.#error === undefined;
  }

  /** What the manifest of this destination will tell, in the order of the listing. */
  get artifacts(): (StoredArtifact | FailedArtifact)[] {
    return inOrder(this.#artifacts);
  }

  /** Those whose files are committed, though not yet part of a visible set. */
  get stored(): StoredArtifact[] {
    return this.artifacts.filter(isStored);
  }

  takesSource(node: string): boolean {
    return this.path.some((step) => step.type === 'source' && step.node === node);
  }

  /** @param place of the database in the run's listing */
  add(place: number, artifact: StoredArtifact | FailedArtifact): void {
    this.#artifacts.set(place, artifact);
  }

  fail(error: BackupError): void {
    this.#error ??= error;
  }

  /** The copy from a sibling failed as well: the error tells both. */
  failAgain(error: BackupError, sibling: string): void {
    const first = this.#error?.message ?? 'It dropped out';
    this.#error = new BackupError(
      error.code,
      `${first}. Copying from ${sibling} failed too: ${error.message}`,
      { transient: error.transient, cause: error },
    );
  }

  commit(manifest: Manifest, healed: boolean): void {
    const { status } = manifest;
    const storage = this.binding.driver.describe();
    this.#committed = {
      reference: { path: this.setPath, node: this.node, storage, status },
      manifest,
      healed,
    };
    this.#error = undefined;
  }

  /** Tells the node that waits: once, after everything about this destination is decided. */
  settle(otherwise: BackupError): void {
    this.#joined.settle(this.#committed ?? this.#error ?? otherwise);
  }
}
