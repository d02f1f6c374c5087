import { lockHeld } from './already-exists.ts';
import { commitFolder } from './commit-folder.ts';

/** How often a lock that was held a moment ago is tried again. */
const ATTEMPTS = 3;

/** What is known of the lock of a commit, also when its connection breaks in the middle. */
export interface LockState {
  /** It may be ours, and be left there. */
  locked: boolean;
}

/** Why the server did not make the folder. */
export interface LockRefusal {
  readonly error: unknown;
  /** Whether the folder is there: undefined when the answer does not tell. */
  readonly isHeld: boolean | undefined;
}

/** What a protocol does for a lock. */
interface LockSteps {
  /** @returns the server's refusal @throws when it is not known what the server did */
  make(lock: readonly string[]): Promise<LockRefusal | undefined>;
  /** @returns undefined when nothing is there */
  look(lock: readonly string[]): Promise<unknown>;
}

/**
 * Makes the hidden folder that keeps others from committing the same object.
 * @throws BackupError `already-exists`; the server's refusal as it came
 */
export async function takeLock(
  { path, names }: { readonly path: string; readonly names: readonly string[] },
  state: LockState,
  steps: LockSteps,
): Promise<void> {
  const lock = commitFolder(names);
  for (let attempt = 1; ; attempt += 1) {
    state.locked = true;
    const refusal = await steps.make(lock);
    if (refusal === undefined) return;
    state.locked = false;
    const { error, isHeld = (await steps.look(lock)) !== undefined } = refusal;
    if (isHeld) throw lockHeld(path, lock);
    // It was held, and is not any more: or it cannot be made at all.
    if (refusal.isHeld === false || attempt === ATTEMPTS) throw error;
  }
}
