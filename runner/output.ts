import { inspect } from 'node:util';
import { type BackupError, toBackupError } from '../lib/errors.ts';
import { redact } from '../lib/logs/redact.ts';

/** What a command answers goes to stdout, what it reports on the way to stderr. */
export interface Output {
  /** A line of the answer. */
  print(text: string): void;
  /** A value of the answer, as one line of JSON. */
  json(value: unknown): void;
  /** A line about what happens. */
  note(text: string): void;
  /** One clear line; the stack only with DBACKUP_DEBUG. */
  error(thrown: unknown): void;
}

export function createOutput(
  stdout: NodeJS.WritableStream = process.stdout,
  stderr: NodeJS.WritableStream = process.stderr,
): Output {
  return {
    print: (text) => void stdout.write(`${text}\n`),
    json: (value) => void stdout.write(`${JSON.stringify(value)}\n`),
    note: (text) => void stderr.write(`${text}\n`),
    error: (thrown) => void stderr.write(`${errorText(toBackupError(thrown))}\n`),
  };
}

function errorText(error: BackupError): string {
  const line = `dbackup: ${error.message.replaceAll('\n', ' ')}`;
  return process.env.DBACKUP_DEBUG ? `${line}\n${redact(inspect(error))}` : line;
}

/** The error of a JSON answer. */
export function errorJson(error: BackupError) {
  return { code: error.code, message: error.message };
}

/**
 * A reader that closes its end early (`dbackup list | head`) ends nothing here: a backup goes on without
 * its reports.
 */
export function ignoreClosedPipes(): void {
  for (const stream of [process.stdout, process.stderr]) {
    stream.on('error', (error: NodeJS.ErrnoException) => {
      if (error.code !== 'EPIPE') throw error;
    });
  }
}
