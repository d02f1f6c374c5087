import type { AskedAssertion, KnownBad, Verification } from './annotation-format.ts';
import { isAsDeep, type VerifyLevel } from './verify-levels.ts';

/** Longest list of failed assertions that a set remembers, as JSON in bytes: its annotations must stay readable. */
const MAX_REMEMBERED = 256 * 1024;
/** Assertions that people are told of, and characters of each. */
const SHOWN = 5;
const SHOWN_CHARACTERS = 200;

/** What a verification asked of the databases of a set, beyond what its level says. */
export interface Asked {
  readonly held: readonly AskedAssertion[];
  readonly failed: readonly AskedAssertion[];
  /** A person has said that those that failed before were wrong: they need not be asked again. */
  readonly forgetsEarlier?: boolean;
  /** Digest of the manifest that it went by. */
  readonly manifest?: string;
  /** It is known to be the one that was stored: what is not found whole by it, another one cannot prove. */
  readonly isOriginal?: boolean;
}

export const NOTHING_ASKED: Asked = { held: [], failed: [] };

/**
 * The mark of a set after a verification that came to a verdict. One that failed sets it; one that succeeded takes
 * it back if it looked as deep and asked again what failed.
 */
export function knownBadAfter(
  before: KnownBad | undefined,
  verification: Verification,
  asked: Asked,
): KnownBad | undefined {
  const forgets = asked.forgetsEarlier === true && verification.level === 'restore';
  const open = forgets && before?.level === 'restore' ? { ...before, assertions: [] } : before;
  if (!verification.ok) return withFailure(open, verification, asked);
  return open === undefined || isRefuted(open, verification.level, asked) ? undefined : open;
}

/** What takes the mark back, for people. */
export function remedyOf({ level, assertions, manifest }: KnownBad): string {
  const remedy = remedyFor(level, assertions);
  return manifest === undefined ? remedy : `${remedy}, and its manifest must be the one that was stored`;
}

function remedyFor(level: VerifyLevel, assertions: readonly AskedAssertion[] | undefined): string {
  if (level !== 'restore') return `only a verification of the level ${level} or a deeper one takes that back`;
  if (assertions?.length === 0) return 'only a test restore (level restore) takes that back';
  const forgetful = 'that is told to forget it (--forget-assertions, msg.forgetAssertions)';
  if (assertions === undefined) {
    return `what was asked is not known: only a test restore ${forgetful} takes that back`;
  }
  return `only a test restore that asks again what failed takes that back: ${listed(assertions)}. If that was wrong to ask, one ${forgetful}`;
}

function withFailure(
  before: KnownBad | undefined,
  { at, level, message }: Verification,
  { failed, manifest, isOriginal = false }: Asked,
): KnownBad {
  const { assertions: _, ...others } = before ?? { since: at, level };
  const assertions = level === 'restore' ? withFailed(before, failed) : before?.assertions;
  return {
    ...others,
    reason: message ?? 'It failed a verification',
    // The deepest look that failed decides what can take it back; since when it is bad does not change.
    level: isAsDeep(others.level, level) ? others.level : level,
    ...(assertions === undefined ? {} : { assertions: [...assertions] }),
    ...(isOriginal ? { manifest } : {}),
  };
}

/** @returns undefined when it is not known any more which have failed */
function withFailed(
  before: KnownBad | undefined,
  failed: readonly AskedAssertion[],
): readonly AskedAssertion[] | undefined {
  if (before?.level === 'restore' && before.assertions === undefined) return undefined;
  const all = [...(before?.assertions ?? [])];
  for (const each of failed) if (!isAmong(each, all)) all.push(each);
  return Buffer.byteLength(JSON.stringify(all, null, 2)) > MAX_REMEMBERED ? undefined : all;
}

/** True when a verification that found the set whole looked at all that has failed before. */
function isRefuted(before: KnownBad, level: VerifyLevel, { held, manifest }: Asked): boolean {
  if (!isAsDeep(level, before.level)) return false;
  if (before.manifest !== undefined && before.manifest !== manifest) return false;
  if (before.level !== 'restore') return true;
  return before.assertions?.every((each) => isAmong(each, held)) ?? false;
}

function isAmong({ database, text }: AskedAssertion, all: readonly AskedAssertion[]): boolean {
  return all.some((each) => each.database === database && each.text === text);
}

function listed(assertions: readonly AskedAssertion[]): string {
  const texts = assertions.slice(0, SHOWN).map(({ database, text }) => `[${database}] ${text}`);
  const shown = texts.map((text) =>
    text.length > SHOWN_CHARACTERS ? `${text.slice(0, SHOWN_CHARACTERS - 1)}…` : text,
  );
  const more = assertions.length > SHOWN ? `; and ${assertions.length - SHOWN} more` : '';
  return `${shown.join('; ')}${more}`;
}
