import { orTimeout } from '../../abort.ts';
import { BackupError, throwIfAborted } from '../../errors.ts';
import { SharedOpening } from '../../shared-opening.ts';
import { connectSsh, type SshConnection } from '../../ssh/connection.ts';
import { type RsyncSshOptions, sshOf } from './options.ts';
import type { Connection, FarEnd, Transport } from './transport.ts';

/** A connection that nobody needs is closed after that time, in ms. */
const IDLE_MS = 10_000;
/** One that was idle for longer may be gone without a sign. */
const TRUSTED_MS = 1000;
/** Lines of the remote shell that are kept. */
const KEPT_LINES = 20;
const LINE_CHARACTERS = 500;

/** A connection, and who uses it. */
interface Line {
  readonly connection: SshConnection;
  users: number;
  idleSince: number;
  closes: NodeJS.Timeout | undefined;
}

/**
 * A host that is reached by SSH. One connection serves all runs of rsync, each with a channel of its own: signing
 * in takes longer than most of them. It is kept for a short while, and does not keep the process alive then.
 */
export class SshTransport implements Transport {
  readonly #options: RsyncSshOptions;
  #line: Line | undefined;
  readonly #opening = new SharedOpening((signal) => this.#openLine(signal));

  constructor(options: RsyncSshOptions) {
    this.#options = options;
  }

  async connect(signal: AbortSignal): Promise<Connection> {
    throwIfAborted(signal);
    const idle = this.#trusted();
    let line = idle ?? (await this.#opening.wait(signal));
    this.#enter(line);
    let used = true;
    const release = () => {
      if (used) this.#leave(line);
      used = false;
    };
    const open = async (command: string): Promise<FarEnd> => {
      try {
        return await this.#open(line, command);
      } catch (error) {
        // It broke while nobody used it, which shows only now: nothing was done on it.
        if (line !== idle || !line.connection.lost.aborted || !used) throw error;
        release();
        line = await this.#opening.wait(signal);
        this.#enter(line);
        used = true;
        return await this.#open(line, command);
      }
    };
    return { open, release };
  }

  async #open(line: Line, command: string): Promise<FarEnd> {
    const { timeout } = this.#options;
    const opening = line.connection.exec(command);
    // What opens after all is not waited for: its connection is replaced.
    opening.catch(() => undefined);
    const channel = await orTimeout(opening, timeout * 1000, () => {
      this.#drop(line);
      void line.connection.close();
      return new BackupError('stalled', `${line.connection.name} ran no command within ${timeout} s`, {
        transient: true,
      });
    });
    const lines = new LastLines();
    channel.stderr.on('data', (chunk: Buffer) => lines.add(chunk.toString('utf8')));
    channel.stderr.on('error', () => undefined);
    let exitCode: number | undefined;
    channel.once('exit', (code: number | null) => {
      exitCode = code ?? undefined;
    });
    const exit = () =>
      exitCode === undefined || exitCode === 0 ? [] : [`exit code ${exitCode} of the host`];
    return { stream: channel, said: () => [...lines.all(), ...exit()] };
  }

  /** The open connection, unless it may be dead. */
  #trusted(): Line | undefined {
    const line = this.#line;
    if (line === undefined) return undefined;
    const isStale = line.users === 0 && performance.now() - line.idleSince > TRUSTED_MS;
    if (!line.connection.lost.aborted && !isStale) return line;
    this.#drop(line);
    if (line.users === 0) void line.connection.close();
    return undefined;
  }

  async #openLine(signal: AbortSignal): Promise<Line> {
    const timeoutMs = this.#options.timeout * 1000;
    const connection = await connectSsh(sshOf(this.#options), signal, { timeoutMs, keepalive: false });
    const line: Line = { connection, users: 0, idleSince: performance.now(), closes: undefined };
    this.#line = line;
    // Should nobody wait for it any more.
    this.#rest(line);
    return line;
  }

  #enter(line: Line): void {
    clearTimeout(line.closes);
    line.users += 1;
    line.connection.keepsProcess(true);
  }

  #leave(line: Line): void {
    line.users -= 1;
    if (line.users > 0) return;
    if (this.#line === line && !line.connection.lost.aborted) this.#rest(line);
    else void line.connection.close();
  }

  #rest(line: Line): void {
    line.idleSince = performance.now();
    line.connection.keepsProcess(false);
    line.closes = setTimeout(() => {
      this.#drop(line);
      void line.connection.close();
    }, IDLE_MS);
    line.closes.unref();
  }

  /** It is not lent any more; who uses it may go on. */
  #drop(line: Line): void {
    clearTimeout(line.closes);
    if (this.#line === line) this.#line = undefined;
  }
}

class LastLines {
  #lines: string[] = [];
  #rest = '';

  add(text: string): void {
    const lines = (this.#rest + text).split('\n');
    this.#rest = (lines.pop() ?? '').slice(0, LINE_CHARACTERS);
    const said = lines.map((line) => line.trim().slice(0, LINE_CHARACTERS)).filter((line) => line !== '');
    this.#lines = [...this.#lines, ...said].slice(-KEPT_LINES);
  }

  all(): string[] {
    return this.#rest.trim() === '' ? this.#lines : [...this.#lines, this.#rest.trim()];
  }
}
