import { redact } from './redact.ts';

/** Longest message of a log, in bytes. */
export const MAX_MESSAGE_BYTES = 4096;
const CUT = ' … (cut)';

/**
 * A message as a log keeps it: one line without secrets, of 4 KiB at most, and with nothing in it that could steer a
 * terminal.
 */
export function logText(message: string): string {
  const text = escapeControls(redact(message)).toWellFormed();
  const bytes = Buffer.from(text);
  if (bytes.length <= MAX_MESSAGE_BYTES) return text;
  const room = MAX_MESSAGE_BYTES - Buffer.byteLength(CUT);
  return `${wholeCharacters(bytes.subarray(0, room))}${CUT}`;
}

/** Line breaks and tabs as blanks and `\n`, other control and format characters by their number. */
function escapeControls(text: string): string {
  return text.replaceAll(/[\p{Cc}\p{Cf}\u2028\u2029]/gu, (character) => {
    if (character === '\t') return ' ';
    if (character === '\n') return '\\n';
    return `\\u{${character.codePointAt(0)?.toString(16)}}`;
  });
}

/** The text of these bytes, without a character that is cut at their end. */
function wholeCharacters(bytes: Uint8Array): string {
  return new TextDecoder('utf-8').decode(bytes, { stream: true });
}
