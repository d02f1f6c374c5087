import { parseRunParameters, type RunParameter, type RunParameters } from '../plan/run-parameters.ts';
import { type Refusal, refusal } from './refusal.ts';

/** What a request brings. */
export interface RequestBody {
  /** Parsed, when it is JSON; else its text. Empty: undefined. */
  readonly content: unknown;
  readonly parameters: RunParameters;
}

/**
 * Reads the body of an authorised request.
 * @param payload bytes, text, or what was parsed of them already
 * @param allowed parameters that may be given; with none the body is not looked at, and may be anything
 */
export function readBody(payload: unknown, allowed: readonly RunParameter[]): RequestBody | Refusal {
  const content = contentOf(payload);
  if (allowed.length === 0 || content === undefined) return { content, parameters: {} };
  if (typeof content !== 'object' || content === null || Array.isArray(content)) {
    return refusal(400, 'malformed', 'The body must be a JSON object, or empty');
  }
  const parsed = parseRunParameters(content);
  if (!parsed.ok) return refusal(400, 'malformed', `The body is not valid: ${parsed.problem}`);
  const refused = Object.keys(parsed.value).find((name) => !(allowed as readonly string[]).includes(name));
  if (refused === undefined) return { content, parameters: parsed.value };
  return refusal(403, 'forbidden', `This webhook does not take "${refused}"`);
}

function contentOf(payload: unknown): unknown {
  const text = payload instanceof Uint8Array ? Buffer.from(payload).toString('utf8') : payload;
  if (typeof text !== 'string') return isEmpty(text) ? undefined : text;
  if (text.trim() === '') return undefined;
  try {
    return JSON.parse(text);
  } catch {
    return text;
  }
}

/** HTTP In gives an empty object where there was no body. */
function isEmpty(value: unknown): boolean {
  if (value === undefined || value === null) return true;
  return typeof value === 'object' && !Array.isArray(value) && Object.keys(value).length === 0;
}
