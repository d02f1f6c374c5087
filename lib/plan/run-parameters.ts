import { z } from 'zod';
import { BackupError } from '../errors.ts';
import { type Parsed, parseValue } from '../parse.ts';
import { note, type RunAnnotations, runAnnotations } from './run-annotations.ts';

/** A name or pattern of databases: a backslash has a character after it. */
const namePattern = z
  .string()
  .min(1)
  .max(200)
  // biome-ignore lint/suspicious/noControlCharactersInRegex: refusing exactly these
  .regex(/^(?:[^\\\u0000-\u001f\u007f]|\\[^\u0000-\u001f\u007f])+$/u, 'must be a name or a pattern');

/** What a message may say about the run that it starts. */
export const runParameters = z.strictObject({
  /** Which of the databases that the source may dump; all of them when absent. */
  databases: z.array(namePattern).min(1).max(100).optional(),
  tags: runAnnotations.shape.tags,
  note: note.optional(),
  pin: z.boolean().optional(),
});

export type RunParameters = z.infer<typeof runParameters>;
export type RunParameter = keyof RunParameters;

/** Properties of a message that are parameters of a run. */
export const RUN_PARAMETERS = Object.keys(runParameters.shape) as readonly RunParameter[];

/** Checks what somebody gives as parameters; what is not known among them is a problem. */
export function parseRunParameters(value: unknown): Parsed<RunParameters> {
  return parseValue(runParameters, value);
}

/**
 * The parameters that a message has.
 * @throws BackupError `invalid-config` that names the wrong one
 */
export function readRunParameters(message: Readonly<Record<string, unknown>>): RunParameters {
  const given = Object.fromEntries(
    RUN_PARAMETERS.flatMap((name) => (isGiven(message[name]) ? [[name, message[name]]] : [])),
  );
  const parsed = parseRunParameters(given);
  if (parsed.ok) return parsed.value;
  throw new BackupError(
    'invalid-config',
    `The message asks for a backup with wrong parameters: ${parsed.problem}. msg.databases and msg.tags are lists of texts, msg.note is a text, msg.pin is true or false`,
  );
}

/** The message without them: they are said about one run only. */
export function withoutRunParameters<Message extends object>(message: Message): Message {
  const rest = Object.entries(message).filter(
    ([name]) => !(RUN_PARAMETERS as readonly string[]).includes(name),
  );
  return Object.fromEntries(rest) as Message;
}

/** What they say about the sets of the run. */
export function annotationsOf({ tags, note: text, pin }: RunParameters): RunAnnotations {
  return {
    ...(tags === undefined || tags.length === 0 ? {} : { tags: [...new Set(tags)] }),
    ...(text === undefined ? {} : { note: text }),
    ...(pin === undefined ? {} : { pinned: pin }),
  };
}

function isGiven(value: unknown): boolean {
  return value !== undefined && value !== null;
}
