import { type ChildProcess, spawn } from 'node:child_process';
import type { Duplex, Readable, Writable } from 'node:stream';
import { abortError, BackupError, throwIfAborted } from '../errors.ts';
import { redact } from '../logs/redact.ts';
import { toolEnvironment } from './environment.ts';
import type { ToolOutput } from './tool-output.ts';

/** A run of another program: `pg_dump`, `mariadb`, `smbclient`. */
export interface ToolCommand {
  /** Path of the program. */
  readonly program: string;
  /** Never a secret: any user of the host can read them. */
  readonly args: readonly string[];
  /** Added to the environment, which only this user can read. */
  readonly env: Readonly<Record<string, string>>;
  /** What the tool works on, for errors: `pg_dump of shop`. */
  readonly subject: string;
  /** What of its stderr tells why it failed, without secrets. Absent: the last lines. */
  explain?(stderr: readonly string[]): string;
  /** Tells what class of causes the failure is of, from what the tool said. Absent: `incomplete`. */
  classify?(failure: BackupError): BackupError;
  /** Hears each line that it writes to stderr, as it comes. */
  heard?(line: string): void;
  /** It gets file descriptor 3 as well, open for both directions: the `channel` of its process. */
  readonly withChannel?: boolean;
}

export interface ToolExit {
  /** Undefined when it was killed by a signal that we did not send. */
  readonly code: number | undefined;
  readonly killedBy?: NodeJS.Signals;
  /** The lines that it wrote to stderr: all of them while they are few, else the first and the last. */
  readonly stderr: readonly string[];
}

/** How long a tool that was asked to end may take, in ms, before it is killed. */
const TERM_MS = 3_000;
/** Lines of stderr that are kept from its beginning, and as many from its end. */
const KEPT_LINES = 200;
/** A longer line is cut, in characters. */
const LINE_CHARACTERS = 2_000;

/**
 * A tool as a child process in a process group of its own, so that its workers end with it. It ends when it
 * is done, when it is stopped, and when the signal aborts.
 */
export class ToolProcess {
  readonly stdin: Writable;
  readonly stdout: Readable;
  /** The other end of its file descriptor 3, when it has one; its streams are not gone before this has ended. */
  readonly channel: Duplex | undefined;
  /** Resolves when the process itself is gone; never rejects. */
  readonly died: Promise<void>;
  /** Resolves when the process and its streams are gone; never rejects. */
  readonly exited: Promise<ToolExit>;
  readonly #process: ChildProcess;
  readonly #lines: KeptLines;
  readonly #command: ToolCommand;
  #startFailure: Error | undefined;
  #stopped: BackupError | undefined;
  #hasExited = false;

  /**
   * @param output where its stdout goes; else it is a pipe
   * @throws BackupError `aborted` when the signal is so already; `unavailable` when no pipe can be had
   */
  constructor(command: ToolCommand, signal: AbortSignal, output?: ToolOutput) {
    throwIfAborted(signal);
    this.#command = command;
    this.#lines = new KeptLines((line) => command.heard?.(line));
    const child = spawn(command.program, command.args, {
      env: toolEnvironment(command.env),
      stdio: ['pipe', output?.theirs ?? 'pipe', 'pipe', ...(command.withChannel ? ['pipe' as const] : [])],
      detached: true,
    });
    this.#process = child;
    child.on('error', (error) => {
      this.#startFailure ??= error;
    });
    const { stdin, stdout, stderr } = pipesOf(child, output, command);
    this.stdin = stdin;
    this.stdout = stdout;
    this.channel = command.withChannel ? (child.stdio[3] as Duplex | undefined) : undefined;
    this.channel?.on('error', () => undefined);
    // A tool that ends early closes its input: its exit tells more than the broken pipe.
    stdin.on('error', () => undefined);
    stdout.on('error', () => undefined);
    stderr.setEncoding('utf8').on('data', (text: string) => this.#lines.add(text));
    const onAbort = () => this.#end(abortError(signal));
    signal.addEventListener('abort', onAbort, { once: true });
    this.died = new Promise((resolve) => {
      child.once('error', () => resolve());
      child.once('exit', () => resolve());
    });
    this.exited = new Promise((resolve) => {
      const settle = (code: number | undefined, killedBy?: NodeJS.Signals) => {
        this.#hasExited = true;
        signal.removeEventListener('abort', onAbort);
        resolve({
          code,
          ...(killedBy === undefined ? {} : { killedBy }),
          stderr: this.#lines.all().map(redact),
        });
      };
      child.once('error', () => {
        if (child.pid === undefined) settle(undefined);
      });
      // Workers that outlive the tool would go on, and keep its stderr open.
      child.once('exit', () => this.#kill('SIGKILL'));
      child.once('close', async (code, killedBy) => {
        await output?.closed;
        settle(code ?? undefined, killedBy ?? undefined);
      });
    });
  }

  get pid(): number | undefined {
    return this.#process.pid;
  }

  /**
   * Waits for the end of the tool.
   * @returns the lines of stderr, when it ended with exit code 0
   * @throws BackupError that says how it ended otherwise, with what it said last; the reason of the abort or
   *   of `stop` when that ended it
   */
  async succeeded(): Promise<readonly string[]> {
    const { code, killedBy, stderr } = await this.exited;
    if (this.#stopped !== undefined) throw this.#stopped;
    const { subject, program } = this.#command;
    if (this.#startFailure !== undefined) {
      throw new BackupError('unavailable', `${program} cannot be run: ${this.#startFailure.message}`, {
        cause: this.#startFailure,
      });
    }
    if (code === 0) return stderr;
    const how = killedBy === undefined ? `failed with exit code ${code}` : `was killed (${killedBy})`;
    const explain = this.#command.explain ?? lastLines;
    const said = stderr.length === 0 ? '' : `: ${explain(stderr)}`;
    const failure = new BackupError('incomplete', `${subject} ${how}${said}`, {
      transient: killedBy !== undefined,
    });
    throw this.#command.classify?.(failure) ?? failure;
  }

  /** Lets our process end although the tool still runs, or not any more. */
  keepAlive(wanted: boolean): void {
    for (const each of [this.#process, ...this.#process.stdio]) {
      const handle = each as Partial<Pick<ChildProcess, 'ref' | 'unref'>> | null | undefined;
      if (wanted) handle?.ref?.();
      else handle?.unref?.();
    }
  }

  /** Ends the tool, if it still runs, and waits until it is gone. The first reason is kept. */
  async stop(reason: BackupError): Promise<void> {
    if (!this.#hasExited) this.#end(reason);
    await this.exited;
  }

  #end(reason: BackupError): void {
    this.#stopped ??= reason;
    this.#kill('SIGTERM');
    const timer = setTimeout(() => this.#kill('SIGKILL'), TERM_MS);
    void this.exited.finally(() => clearTimeout(timer));
    // Nobody reads or feeds it any more; a tool that waits for either would not end.
    this.stdin.destroy();
    this.stdout.destroy();
    this.channel?.destroy();
  }

  /** The whole group: `pg_restore -j` has workers of its own. */
  #kill(signal: NodeJS.Signals): void {
    if (this.#process.pid === undefined || this.#hasExited) return;
    try {
      process.kill(-this.#process.pid, signal);
    } catch {
      this.#process.kill(signal);
    }
  }
}

/** Without free file descriptors a child process has no pipes, and never comes to be. */
function pipesOf(child: ChildProcess, output: ToolOutput | undefined, { program }: ToolCommand) {
  const { stdin, stderr } = child;
  const stdout = output?.ours ?? child.stdout;
  if (stdin && stdout && stderr) return { stdin, stdout, stderr };
  throw new BackupError('unavailable', `${program} cannot be run: too many files are open`, {
    transient: true,
  });
}

function lastLines(stderr: readonly string[]): string {
  return stderr.slice(-5).join(' / ');
}

/** The first and the last lines of a text that may be long. */
class KeptLines {
  readonly #heard: (line: string) => void;
  readonly #first: string[] = [];
  #last: string[] = [];
  #rest = '';
  #left = 0;

  constructor(heard: (line: string) => void) {
    this.#heard = heard;
  }

  add(text: string): void {
    const lines = (this.#rest + text).split('\n');
    this.#rest = (lines.pop() ?? '').slice(0, LINE_CHARACTERS);
    for (const line of lines) this.#keep(line);
  }

  all(): string[] {
    const rest = this.#rest.trim() === '' ? [] : [this.#rest.trim()];
    const left = this.#left === 0 ? [] : [`… ${this.#left} lines left out …`];
    return [...this.#first, ...left, ...this.#last, ...rest];
  }

  #keep(line: string): void {
    const text = line.trimEnd().slice(0, LINE_CHARACTERS);
    if (text === '') return;
    this.#heard(text);
    if (this.#first.length < KEPT_LINES) this.#first.push(text);
    else this.#last.push(text);
    if (this.#last.length > KEPT_LINES) {
      this.#last = this.#last.slice(1);
      this.#left += 1;
    }
  }
}
