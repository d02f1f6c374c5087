import { BackupError } from '../../errors.ts';
import { isObjectName } from '../path.ts';
import { lacksFolder } from './failures.ts';
import { filterOptions, includePath, includeSiblings, NOT_HIDDEN, NOTHING_ELSE } from './filters.ts';
import { type ListedEntry, linesOf, parseListLine } from './list-format.ts';
import { RsyncError, type RsyncRun } from './run.ts';
import type { RsyncStorage } from './storage.ts';

/** Recursive, links with what they name, whole numbers, and names as they are. */
const LIST = ['--list-only', '-rl', '--no-h', '-8'];
/** What was to be listed vanished meanwhile: the rest was listed. */
const VANISHED = 24;

/**
 * Everything in the storage's folder that the rules let through, except for the folder itself, as it comes.
 * @throws RootMissing; BackupError when the listing fails, also after it has given entries
 */
export async function* entriesBelow(
  storage: RsyncStorage,
  doing: string,
  rules: readonly string[],
  signal: AbortSignal,
): AsyncGenerator<ListedEntry, void> {
  const args = [...LIST, ...filterOptions(rules), storage.target()];
  const run = await storage.start({ doing, args }, signal);
  try {
    yield* listedBy(run);
    await run.ended.catch((reason: unknown) => refuse(storage, reason));
  } catch (error) {
    if (error instanceof BackupError) throw error;
    // Why the run ended tells more than its output that broke.
    await run.ended.catch((reason: unknown) => refuse(storage, reason));
    throw error;
  } finally {
    await run.stop();
  }
}

async function* listedBy(run: RsyncRun): AsyncGenerator<ListedEntry, void> {
  for await (const line of linesOf(run.stdout)) {
    const entry = parseListLine(line);
    if (entry.path !== '.') yield entry;
  }
}

function refuse(storage: RsyncStorage, reason: unknown): void {
  if (!(reason instanceof RsyncError)) throw reason;
  const { exitCode } = reason.run;
  if (exitCode === VANISHED) return;
  throw lacksFolder(reason.run) ? storage.rootMissing() : reason;
}

/** What is at a path. */
export interface Found {
  /** Undefined when there is nothing. */
  readonly entry: ListedEntry | undefined;
  /** The first part of its path that is a file, though something is to lie below it. */
  readonly inTheWay: string | undefined;
  /** Files of the same name in the folders beside the one that holds it. */
  readonly siblings: readonly ListedEntry[];
}

/**
 * Looks up one path.
 * @throws RootMissing; BackupError `invalid-config` when a link is, or leads to, what is looked for
 */
export async function look(
  storage: RsyncStorage,
  doing: string,
  names: readonly string[],
  signal: AbortSignal,
  { siblings = false } = {},
): Promise<Found> {
  const beside = siblings && names.length >= 2;
  const rules = [NOT_HIDDEN, ...includePath(names), ...(beside ? includeSiblings(names) : []), NOTHING_ELSE];
  const found = new Map<string, ListedEntry>();
  for await (const entry of entriesBelow(storage, doing, rules, signal)) {
    if (entry.path !== undefined) found.set(entry.path, entry);
  }
  const paths = names.map((_, index) => names.slice(0, index + 1).join('/'));
  const link = paths.find((each) => found.get(each)?.type === 'link');
  if (link !== undefined) throw linkRefused(link);
  const path = names.join('/');
  return {
    entry: found.get(path),
    inTheWay: paths.slice(0, -1).find((each) => (found.get(each)?.type ?? 'folder') !== 'folder'),
    siblings: [...found.values()].filter(
      (entry) => entry.type === 'file' && entry.path !== path && isSibling(entry, names),
    ),
  };
}

export function linkRefused(path: string): BackupError {
  return new BackupError(
    'invalid-config',
    `${path} is a symbolic link on the server: links are not followed there, remove it or choose another folder`,
  );
}

function isSibling({ path = '' }: ListedEntry, names: readonly string[]): boolean {
  const parts = path.split('/');
  return parts.length === names.length && parts.every(isObjectName) && parts.at(-1) === names.at(-1);
}
