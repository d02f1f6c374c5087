import { randomBytes } from 'node:crypto';
import type { ByteStream } from '../../bytes/stream.ts';
import { BackupError, toBackupError } from '../../errors.ts';
import { writeTo } from '../../tool/feed-tool.ts';
import { type ToolCommand, ToolProcess } from '../../tool/tool-process.ts';
import type { RestoreInput } from './restore-input.ts';

/** The preamble of a script ends before this, in bytes. */
const PREAMBLE_BYTES = 4096;
const TIMEOUT_LINE = 'SET transaction_timeout = 0;\n';

/**
 * The script that pg_restore makes of an archive. It ends only when pg_restore has ended well and the whole
 * archive has come, so that who reads it can commit then.
 * @throws BackupError of the archive, else of pg_restore
 */
export async function* scriptOf(
  command: ToolCommand,
  input: RestoreInput,
  signal: AbortSignal,
): AsyncGenerator<Buffer, undefined> {
  const tool = new ToolProcess(command, signal);
  const fed = feed(tool, input);
  fed.catch(() => undefined);
  let whole = false;
  try {
    for await (const chunk of tool.stdout as AsyncIterable<Buffer>) yield chunk;
    await fed;
    await tool.succeeded();
    await input.finish();
    whole = true;
  } catch (error) {
    const failure = toBackupError(error, command.subject);
    await tool.stop(failure);
    await tool.succeeded();
    throw failure;
  } finally {
    const early = new BackupError('aborted', `${command.subject} was ended before its script was read`);
    if (!whole) await tool.stop(early);
  }
}

/** When the dump is wrong, the tool must not take what has come for all. */
async function feed(tool: ToolProcess, input: RestoreInput): Promise<void> {
  try {
    await writeTo(tool, input.stream());
    tool.stdin.end();
  } catch (error) {
    const failure = toBackupError(error);
    await tool.stop(failure);
    throw failure;
  }
}

/** Of what psql has learned to refuse its own commands (CVE-2025-8714), by major version: the first minor one. */
const FIRST_RESTRICTED = new Map([
  [13, 22],
  [14, 19],
  [15, 14],
  [16, 10],
  [17, 6],
]);
/** The end of a script, where it closes what it opened, is not longer, in bytes. */
const END_BYTES = 1024;

/** Whether a psql knows `\restrict`. */
export function knowsRestrict(version: string): boolean {
  const [major = 0, minor = 0] = version.split('.').map((part) => Number.parseInt(part, 10));
  return major >= 18 || minor >= (FIRST_RESTRICTED.get(major) ?? Number.POSITIVE_INFINITY);
}

/**
 * Makes psql refuse every command of its own in a script, such as those that run programs: by `\restrict` with
 * a token that the script cannot know. Its own `\restrict` and `\unrestrict` are left out for that.
 */
export async function* restricted(script: ByteStream): AsyncGenerator<Buffer, undefined> {
  const token = randomBytes(32).toString('hex');
  let isBegun = false;
  let held = Buffer.alloc(0);
  for await (const chunk of script) {
    held = Buffer.concat([held, chunk]);
    if (held.length < (isBegun ? 0 : PREAMBLE_BYTES) + END_BYTES) continue;
    if (!isBegun) held = begin(held, token);
    isBegun = true;
    yield held.subarray(0, -END_BYTES);
    held = held.subarray(-END_BYTES);
  }
  if (!isBegun) held = begin(held, token);
  const end = held.toString('latin1').replace(/^\\unrestrict \S+$/m, '');
  yield Buffer.from(end, 'latin1');
}

function begin(head: Buffer, token: string): Buffer<ArrayBuffer> {
  const preamble = head.subarray(0, PREAMBLE_BYTES).toString('latin1');
  // Only before the first statement: among data it would be the end of a line, escaped by COPY.
  const open = preamble.replace(/^((?:--.*\n|\n)*)\\restrict \S+\n/, '$1');
  return Buffer.concat([
    Buffer.from(`\\restrict ${token}\n${open}`, 'latin1'),
    head.subarray(PREAMBLE_BYTES),
  ]);
}

/**
 * Leaves out of a script's preamble what servers before 17 refuse: `SET transaction_timeout = 0`, by which
 * newer tools only say what is so anyway. The rest passes as it is.
 */
export async function* withoutTransactionTimeout(script: ByteStream): AsyncGenerator<Buffer, undefined> {
  let head: Buffer | undefined = Buffer.alloc(0);
  for await (const chunk of script) {
    if (head === undefined) {
      yield chunk;
      continue;
    }
    head = Buffer.concat([head, chunk]);
    if (head.length < PREAMBLE_BYTES) continue;
    yield cutOut(head);
    head = undefined;
  }
  if (head !== undefined) yield cutOut(head);
}

function cutOut(head: Buffer): Buffer {
  const at = head.indexOf(`\n${TIMEOUT_LINE}`);
  if (at < 0 || at > PREAMBLE_BYTES) return head;
  return Buffer.concat([head.subarray(0, at + 1), head.subarray(at + 1 + TIMEOUT_LINE.length)]);
}
