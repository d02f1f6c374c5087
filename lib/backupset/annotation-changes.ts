import { BackupError } from '../errors.ts';
import { parseValue } from '../parse.ts';
import { note, type RunAnnotations, tag } from '../plan/run-annotations.ts';
import {
  type Annotations,
  MAX_VERIFICATIONS,
  NO_ANNOTATIONS,
  shortMessage,
  type Verification,
} from './annotation-format.ts';
import { type Asked, knownBadAfter, NOTHING_ASKED } from './known-bad.ts';
import { isAsDeep, type VerifyLevel } from './verify-levels.ts';

/** What a person wants to be said about a set from now on; what is absent stays as it is. */
export interface AnnotationWish {
  readonly addTags?: readonly string[];
  readonly removeTags?: readonly string[];
  /** An empty one takes the note away. */
  readonly note?: string;
  readonly pinned?: boolean;
}

/** Where annotations come from that nobody has changed yet. */
export interface AnnotationOrigin {
  readonly id: string;
  /** ISO 8601. */
  readonly at: string;
}

/**
 * Checks a wish before anything is asked of a storage.
 * @throws BackupError `invalid-config`
 */
export function checkWish(wish: AnnotationWish): AnnotationWish {
  for (const each of [...(wish.addTags ?? []), ...(wish.removeTags ?? [])]) {
    const parsed = parseValue(tag, each);
    if (!parsed.ok) throw refused(`The tag ${JSON.stringify(each)}`, parsed.problem);
  }
  if (wish.note !== undefined && wish.note !== '') {
    const parsed = parseValue(note, wish.note);
    if (!parsed.ok) throw refused('The note', parsed.problem);
  }
  return wish;
}

/** What becomes of annotations by a wish. Tags stay in the order in which they were added, each once. */
export function withWish(current: Annotations, wish: AnnotationWish): Annotations {
  const removed = new Set(wish.removeTags ?? []);
  const kept = current.tags.filter((each) => !removed.has(each));
  const tags = [...new Set([...kept, ...(wish.addTags ?? [])])];
  const { note: before, ...others } = current;
  const after = wish.note ?? before;
  return {
    ...others,
    tags,
    ...(after === undefined || after === '' ? {} : { note: after }),
    pinned: wish.pinned ?? current.pinned,
  };
}

/** Those that a set begins with, as its run was told. */
export function firstAnnotations(wanted: RunAnnotations | undefined, by: AnnotationOrigin): Annotations {
  const { tags = [], pinned = false, note: text } = wanted ?? {};
  return carriedAnnotations({ ...NO_ANNOTATIONS, tags, pinned, note: text }, by);
}

/** Those that a copy of a set begins with: what is said of its content, not what was found in its files. */
export function carriedAnnotations(
  { tags, note: text, pinned, suspicious }: Annotations,
  by: AnnotationOrigin,
): Annotations {
  const wish = { addTags: tags, pinned, ...(text === undefined ? {} : { note: text }) };
  const said = withWish(NO_ANNOTATIONS, wish);
  const carried = suspicious === undefined ? said : { ...said, suspicious };
  return saysNothing(carried) ? NO_ANNOTATIONS : { ...carried, changes: [by.id], updatedAt: by.at };
}

/** True when a set is as well off without them. */
export function saysNothing(said: Annotations): boolean {
  const { tags, note: text, pinned, verifications, knownBad, suspicious } = said;
  const isPlain = tags.length === 0 && text === undefined && !pinned;
  return isPlain && verifications.length === 0 && knownBad === undefined && suspicious === undefined;
}

/**
 * Adds a verification that came to a verdict. One that failed makes the set known as bad; one that succeeded takes
 * that back, if it looked at all that has failed before.
 */
export function withVerification(
  current: Annotations,
  found: Verification,
  asked: Asked = NOTHING_ASKED,
): Annotations {
  const { message } = found;
  const verification: Verification = {
    ...found,
    ...(message === undefined ? {} : { message: shortMessage(message) }),
  };
  const verifications = [...current.verifications, verification].slice(-MAX_VERIFICATIONS);
  const { knownBad: before, ...others } = current;
  const after = knownBadAfter(before, verification, asked);
  return { ...others, verifications, ...(after === undefined ? {} : { knownBad: after }) };
}

/** The latest verification that found a set whole, at that level or a deeper one. */
export function lastProof(
  { verifications }: Annotations,
  level: VerifyLevel = 'manifest',
): Verification | undefined {
  return verifications.findLast((each) => each.ok && isAsDeep(each.level, level));
}

function refused(what: string, problem: string): BackupError {
  return new BackupError('invalid-config', `${what} is refused: ${problem.replace(/^✖ /, '')}`);
}
