import { orAbort } from '../abort.ts';
import { carriedAnnotations } from '../backupset/annotation-changes.ts';
import { annotationsOf } from '../backupset/annotations.ts';
import { joinPath } from '../backupset/names.ts';
import { type BackupSet, openBackupSet } from '../backupset/reader.ts';
import { abortError, BackupError, throwIfAborted } from '../errors.ts';
import type { DestinationBinding } from '../plan/bindings.ts';
import type { CommittedSet } from '../runs/outcome.ts';
import { replicateSet } from './replicate.ts';
import { SetFolder } from './set-folder.ts';

export interface CopyRequest {
  readonly from: DestinationBinding;
  readonly to: DestinationBinding;
  /** Set folder below the prefix of `from`, as a SetReference has it. */
  readonly path: string;
  readonly signal: AbortSignal;
}

/** Copies committed sets from destination to destination; one at a time into the same folder. */
export class SetCopies {
  readonly #stallMs: number;
  readonly #closing = new AbortController();
  /** The last copy into each folder: the next one waits for it. */
  readonly #last = new Map<string, Promise<void>>();

  constructor(stallMs: number) {
    this.#stallMs = stallMs;
  }

  /**
   * Checks every hash on the way. What an interrupted copy left in the folder is replaced.
   * @throws BackupError `already-exists` when the set is there already
   */
  async copy({ from, to, path, signal }: CopyRequest): Promise<CommittedSet> {
    const stop = new AbortController();
    const unlink = [signal, this.#closing.signal].map((source) => follow(source, stop));
    const place = `${to.driver.describe()}\n${joinPath(to.prefix, path)}`;
    const before = this.#last.get(place) ?? Promise.resolve();
    const { promise: ended, resolve: end } = Promise.withResolvers<void>();
    const last = Promise.all([before, ended]).then(() => undefined);
    this.#last.set(place, last);
    try {
      await orAbort(before, stop.signal);
      const set = await openBackupSet(from.driver, joinPath(from.prefix, path), stop.signal);
      const folder = new SetFolder(to, joinPath(to.prefix, path), {
        signal: stop.signal,
        stallMs: this.#stallMs,
      });
      await this.#replicate(set, folder);
      return committed(set, to, path);
    } finally {
      for (const leave of unlink) leave();
      end();
      if (this.#last.get(place) === last) this.#last.delete(place);
    }
  }

  /** True while that set is copied anywhere. */
  isCopying(runId: string): boolean {
    return [...this.#last.keys()].some((place) => place.endsWith(`/${runId}`));
  }

  /** Resolves when no copy is under way. */
  async idle(): Promise<void> {
    while (this.#last.size > 0) await Promise.all(this.#last.values());
  }

  /** Ends all copies and refuses new ones; resolves when they are cleaned up. */
  async shutdown(reason: string): Promise<void> {
    this.#closing.abort(new BackupError('aborted', `The copy was ended: ${reason}`));
    await this.idle();
  }

  async #replicate(from: BackupSet, to: SetFolder): Promise<void> {
    throwIfAborted(to.signal);
    await to.takeOver();
    try {
      await replicateSet({ from, to, annotations: await carried(from, to.signal) });
    } catch (error) {
      await to.discard();
      throw error;
    }
  }
}

/** Those of the set now, not those that it began with. */
async function carried(set: BackupSet, signal: AbortSignal) {
  const { value } = await annotationsOf(set, { signal });
  return carriedAnnotations(value, { id: set.manifest.runId, at: set.manifest.finishedAt });
}

function committed(set: BackupSet, to: DestinationBinding, path: string): CommittedSet {
  const { status } = set.manifest;
  const reference = { path, node: to.node, storage: to.driver.describe(), status };
  return { reference, manifest: set.manifest, healed: false };
}

/** Aborts with the source's reason; the result ends that. */
function follow(source: AbortSignal, follower: AbortController): () => void {
  const onAbort = () => follower.abort(abortError(source));
  if (source.aborted) onAbort();
  else source.addEventListener('abort', onAbort, { once: true });
  return () => source.removeEventListener('abort', onAbort);
}
