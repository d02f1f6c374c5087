import { z } from 'zod';
import { BackupError } from '../errors.ts';
import { parseValue } from '../parse.ts';
import { note, tag } from '../plan/run-annotations.ts';
import { VERIFY_LEVELS } from './verify-levels.ts';

/** How many verifications a set remembers: the latest. */
export const MAX_VERIFICATIONS = 20;
/** How many tags a set can have. */
export const MAX_TAGS = 50;
/** How many guards can have marked a set. */
export const MAX_SUSPICIONS = 20;
/** How many changes a file remembers: more than can be made at the same moment. */
export const MAX_CHANGES = 16;
/** Longest text that is kept of a failure, in characters. */
const MAX_MESSAGE = 2000;
/** A file that is larger is not one of ours, in bytes. */
export const MAX_ANNOTATIONS_BYTES = 1024 * 1024;

const message = z.string().max(MAX_MESSAGE);

const verification = z.looseObject({
  at: z.iso.datetime(),
  level: z.enum(VERIFY_LEVELS),
  ok: z.boolean(),
  /** What did not hold, or what was looked at. */
  message: message.optional(),
  /** The machine that looked. */
  host: z.string().max(255),
});

const askedAssertion = z.looseObject({
  database: z.string(),
  /** `SELECT count(*) FROM orders => >= 1000` */
  text: z.string(),
});

const knownBad = z.looseObject({
  since: z.iso.datetime(),
  reason: message,
  /** What looked: only as deep a look, or a deeper one, can take it back. */
  level: z.enum(VERIFY_LEVELS),
  /** What else must hold then. Absent on the level `restore`: it is not known what has failed. */
  assertions: z.array(askedAssertion).optional(),
  /** SHA-256 of what the manifest must say then: it was not found as it was stored. */
  manifest: z.string().max(64).optional(),
});

const suspicion = z.looseObject({
  /** Who alone can take it back. Absent: nobody, as it is not known who has found it. */
  guard: z.string().max(255).optional(),
  since: z.iso.datetime(),
  reason: message,
});

const suspicious = z.looseObject({
  since: z.iso.datetime(),
  reason: message,
  /** What each guard has found. Absent: it is not known who has found it. */
  marks: z.array(suspicion).min(1).max(MAX_SUSPICIONS).optional(),
});

/** `annotations.json`, version 1: what people and verifications say about a set after it was written. */
export const annotations = z.looseObject({
  format: z.literal('dbackup-annotations'),
  version: z.literal(1),
  /** Ids of the latest changes: who does not find its own knows that it was lost to others. */
  changes: z.array(z.string().max(64)).max(MAX_CHANGES),
  updatedAt: z.iso.datetime().optional(),
  tags: z.array(tag).max(MAX_TAGS),
  note: note.optional(),
  /** A pinned set is never removed. */
  pinned: z.boolean(),
  /** Oldest first. */
  verifications: z.array(verification).max(MAX_VERIFICATIONS),
  /** It failed a verification: it counts as no backup, until one that looks at as much finds it whole. */
  knownBad: knownBad.optional(),
  /** It is unlike the sets before it: retention removes none of these in its favour. */
  suspicious: suspicious.optional(),
});

export type Annotations = Readonly<z.infer<typeof annotations>>;
export type Verification = Readonly<z.infer<typeof verification>>;
export type KnownBad = Readonly<z.infer<typeof knownBad>>;
export type AskedAssertion = Readonly<z.infer<typeof askedAssertion>>;
export type Suspicion = Readonly<z.infer<typeof suspicion>>;

/** Those of a set that nobody has said anything about. */
export const NO_ANNOTATIONS: Annotations = {
  format: 'dbackup-annotations',
  version: 1,
  changes: [],
  tags: [],
  pinned: false,
  verifications: [],
};

/**
 * Parses the text of an `annotations.json`.
 * @throws BackupError `corrupt` when it is not one, `invalid-config` when it is from a newer version
 */
export function parseAnnotations(text: string, where: string): Annotations {
  let json: unknown;
  try {
    json = JSON.parse(text);
  } catch (cause) {
    throw new BackupError('corrupt', `${where} is not JSON: the annotations are damaged`, { cause });
  }
  const version = typeof json === 'object' && json !== null && 'version' in json ? json.version : undefined;
  if (typeof version === 'number' && version > 1) {
    throw new BackupError(
      'invalid-config',
      `${where} has version ${version}, this DBackup reads version 1: update it`,
    );
  }
  const parsed = parseValue(annotations, json);
  if (parsed.ok) return parsed.value;
  throw new BackupError('corrupt', `${where} holds no valid annotations: ${parsed.problem}`);
}

/**
 * The text of an `annotations.json`, proven to be one.
 * @throws BackupError `invalid-config` when it breaks a limit: too many tags, a note that is too long
 */
export function annotationsText(value: Annotations): string {
  const parsed = parseValue(annotations, value);
  if (!parsed.ok) throw new BackupError('invalid-config', `These annotations are refused: ${parsed.problem}`);
  return `${JSON.stringify(parsed.value, null, 2)}\n`;
}

/** A text as a verification can keep it. */
export function shortMessage(text: string): string {
  return text.length <= MAX_MESSAGE ? text : `${text.slice(0, MAX_MESSAGE - 1)}…`;
}
