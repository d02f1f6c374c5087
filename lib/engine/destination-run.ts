import { sameExtent } from '../backupset/extent.ts';
import type { FailedArtifact, Manifest, StoredArtifact } from '../backupset/manifest.ts';
import { isStored } from '../backupset/manifest.ts';
import { jobFolder, joinPath } from '../backupset/names.ts';
import { BackupError } from '../errors.ts';
import type { DestinationBinding } from '../plan/bindings.ts';
import { sameWay } from '../plan/plan-tree.ts';
import type { PathStep } from '../plan/recipe.ts';
import { type CommittedSet, SpareDestinationError } from '../runs/outcome.ts';
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
  /** Committed files as they are there now, by name: a copy from a sibling takes the place of our own. */
  readonly #files = new Map<string, StoredArtifact>();
  #first: BackupError | undefined;
  #error: BackupError | undefined;
  #failedAt = 0;
  #attempts = 1;
  #verified = false;
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

  /** Why it dropped out at first, as long as it has no set. */
  get first(): BackupError | undefined {
    return this.#first;
  }

  /** By the clock of the run, in ms: when it dropped out. */
  get failedAt(): number {
    return this.#failedAt;
  }

  /** How often it was tried, the attempt under way included. */
  get attempts(): number {
    return this.#attempts;
  }

  get committed(): CommittedSet | undefined {
    return this.#committed;
  }

  /** The set was read back, and every byte compared. */
  get verified(): boolean {
    return this.#verified;
  }

  /** Still takes part in the pass. */
  get live(): boolean {
    return this.#error === undefined && this.#committed === undefined;
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

  /** Nothing is known yet of the database at that place of the run's listing. */
  lacks(place: number): boolean {
    return !this.#artifacts.has(place);
  }

  /** The file of that database is committed. */
  holds(place: number): boolean {
    return this.#artifacts.get(place)?.status === 'ok';
  }

  /** The same databases, and where the way is the same, the same files. */
  holdsSameAs(other: DestinationRun): boolean {
    const places = [...this.#artifacts.keys()].filter((place) => this.holds(place));
    if (places.length !== other.stored.length || !places.every((place) => other.holds(place))) return false;
    if (!sameWay(this.path, other.path)) return true;
    return this.stored.every((artifact, index) => {
      const same = other.stored[index];
      return same !== undefined && isSameFile(artifact, same);
    });
  }

  /** @param place of the database in the run's listing */
  add(place: number, artifact: StoredArtifact | FailedArtifact): void {
    this.#artifacts.set(place, artifact);
    if (isStored(artifact)) this.#files.set(artifact.file, artifact);
  }

  /** That file was copied from a sibling and is committed. */
  copied(artifact: StoredArtifact): void {
    this.#files.set(artifact.file, artifact);
  }

  /**
   * Readies the folder for another attempt: of these files those stay that are there, everything else that was
   * written goes.
   * @returns those that stay
   * @throws BackupError when the storage cannot tell or does not remove, or has a set there that is not ours
   */
  async resume(wanted: readonly StoredArtifact[]): Promise<StoredArtifact[]> {
    const present: StoredArtifact[] = [];
    for (const artifact of wanted) {
      const there = this.#files.get(artifact.file);
      // What made the destination drop out may have taken its files along.
      if (there === undefined || !isSameFile(there, artifact)) continue;
      if (await this.folder.holds(artifact.file, artifact.stored.bytes)) present.push(artifact);
    }
    this.#files.clear();
    for (const artifact of present) this.#files.set(artifact.file, artifact);
    await this.folder.keepOnly(new Set(this.#files.keys()));
    await this.folder.takeOver();
    return present;
  }

  /** These alone of its databases are there: the others are to be dumped again. */
  keep(present: readonly StoredArtifact[]): void {
    for (const [place, artifact] of this.#artifacts) {
      if (isStored(artifact) && !present.includes(artifact)) this.#artifacts.delete(place);
    }
  }

  /** @param at by the clock of the run, in ms */
  fail(error: BackupError, at: number): void {
    this.#first ??= error;
    this.#failedAt = at;
    this.#error = this.#attempts === 1 ? error : told(error, `${error.message} (attempt ${this.#attempts})`);
  }

  /** The copy from a sibling failed as well: the error tells both. */
  failCopy(error: BackupError, sibling: string, at: number): void {
    const first = this.#first?.message ?? 'It dropped out';
    const times = this.#attempts > 2 ? ` (attempt ${this.#attempts})` : '';
    this.#failedAt = at;
    this.#error = told(error, `${first}. Copying from ${sibling} failed too${times}: ${error.message}`);
  }

  /** Another attempt begins. */
  again(): void {
    this.#attempts += 1;
    this.#error = undefined;
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

  /** Its set has given back every byte. */
  prove(): void {
    this.#verified = true;
  }

  /** Its set does not hold, or could not be read back: it stays, but is no success. */
  doubt(error: BackupError): void {
    this.#error = error;
  }

  /**
   * Tells the node that waits: once, after everything about this destination is decided.
   * @param spare the run has succeeded, whatever became of this destination
   */
  settle(otherwise: BackupError, spare: boolean): void {
    if (this.#committed !== undefined && this.#error === undefined) this.#joined.settle(this.#committed);
    else if (spare) this.#joined.settle(new SpareDestinationError(this.#error ?? otherwise));
    else this.#joined.settle(this.#error ?? otherwise);
  }
}

/** By content, not by name: a file that was encrypted anew has the same name and other bytes. */
function isSameFile(a: StoredArtifact, b: StoredArtifact): boolean {
  return a.file === b.file && sameExtent(a.stored, b.stored);
}

function told({ code, transient }: BackupError, message: string): BackupError {
  return new BackupError(code, message, { transient });
}
