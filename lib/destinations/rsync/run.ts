import type { Readable } from 'node:stream';
import { abortError, BackupError, throwIfAborted, toBackupError } from '../../errors.ts';
import { SilenceWatch } from '../../tool/silence.ts';
import { ToolProcess } from '../../tool/tool-process.ts';
import { type FailedRun, rsyncFailure } from './failures.ts';
import type { Connection } from './transport.ts';
import { RELAY, Wire } from './wire.ts';

export interface RunSettings {
  readonly program: string;
  /** What follows the options that all runs have. No secrets: any user of the host can read them. */
  readonly args: readonly string[];
  /** Who signs in at a daemon. */
  readonly user: string;
  readonly password: string | undefined;
  /** How long the other side may send nothing, in seconds. */
  readonly timeout: number;
  /** What is done, as in `Cannot ${doing}: …`. */
  readonly doing: string;
  /** Called again and again while bytes move. */
  onActivity?(): void;
}

/** A run of rsync that failed, with what it said. */
export class RsyncError extends BackupError {
  readonly run: FailedRun;
  /** Bytes that had gone to the far side. */
  readonly sent: number;

  constructor(run: FailedRun, sent: number, doing: string) {
    const { code, message, transient } = rsyncFailure(run, doing);
    super(code, message, { transient });
    this.run = run;
    this.sent = sent;
  }
}

/** One run of the rsync of this host, with the far one on the other side of a connection of ours. */
export class RsyncRun {
  readonly stdout: Readable;
  /**
   * Resolves when both sides have ended well. Rejects else, and not before the one here is gone and the far one is,
   * or has had time to. Handled already.
   * @throws BackupError
   */
  readonly ended: Promise<void>;
  readonly #settings: RunSettings;
  readonly #tool: ToolProcess;
  readonly #wire: Wire;
  readonly #silence: SilenceWatch;

  /** @throws BackupError `aborted`; the connection is released then as after the end of the run */
  constructor(settings: RunSettings, connection: Connection, signal: AbortSignal) {
    this.#settings = settings;
    const { program, args, user, password, timeout } = settings;
    try {
      this.#tool = new ToolProcess(
        {
          program,
          // rsync itself notices a silent peer; it makes both sides send a sign of life in time.
          args: [...COMMON, `--timeout=${timeout}`, ...passwordOption(password), ...args],
          // The listing tells times without their zone.
          env: { TZ: 'UTC', ...(user === '' ? {} : { USER: user, LOGNAME: user }) },
          subject: 'rsync',
          withChannel: true,
        },
        signal,
      );
    } catch (error) {
      connection.release();
      throw error;
    }
    const tool = this.#tool;
    tool.stdin.end(password === undefined ? '' : `${password}\n`);
    this.stdout = tool.stdout;
    // What rsync does not notice: above all a connection that takes nothing any more.
    this.#silence = new SilenceWatch(
      2 * timeout * 1000 + SILENCE_EXTRA_MS,
      () => void tool.stop(this.#stalled()),
    );
    this.#silence.wait();
    const onLife = () => {
      this.#silence.wait();
      settings.onActivity?.();
    };
    const { channel } = tool;
    if (channel === undefined) throw new BackupError('internal', 'rsync was started without its channel');
    this.#wire = new Wire(channel, connection, onLife, (error) => void tool.stop(toBackupError(error)));
    void tool.died.then(() => this.#wire.nearEnded());
    this.ended = this.#end(connection, signal);
    this.ended.catch(() => undefined);
  }

  /** Bytes that went over the connection. */
  get bytes(): { readonly sent: number; readonly received: number } {
    return this.#wire.bytes;
  }

  /** Ends it, if it still runs, and waits until it is gone. */
  async stop(): Promise<void> {
    await this.#tool.stop(new BackupError('aborted', `It was stopped: ${this.#settings.doing}`));
    await this.ended.catch(() => undefined);
  }

  async #end(connection: Connection, signal: AbortSignal): Promise<void> {
    try {
      const exit = await this.#tool.exited;
      this.#silence.heard();
      await this.#wire.over;
      if (exit.code === 0) return;
      if (signal.aborted) throw abortError(signal);
      // Why it could not be started, or was ended by us or by others.
      if (exit.code === undefined) await this.#tool.succeeded();
      const said = [...exit.stderr, ...this.#wire.said];
      await this.#whyStopped();
      throw new RsyncError({ exitCode: exit.code ?? 0, said }, this.bytes.sent, this.#settings.doing);
    } finally {
      this.#silence.heard();
      connection.release();
    }
  }

  /** rsync ends with an exit code of its own when it is asked to end: the reason for that counts. */
  async #whyStopped(): Promise<void> {
    const reason = await this.#tool.succeeded().catch((error: unknown) => error);
    if (reason instanceof BackupError && reason.code !== 'incomplete') throw reason;
  }

  #stalled(): BackupError {
    const { doing, timeout } = this.#settings;
    return new BackupError(
      'stalled',
      `Cannot ${doing}: nothing came for ${2 * timeout} s; check the server and its network`,
      { transient: true },
    );
  }
}

/** What is waited for beyond rsync's own patience, in ms. */
const SILENCE_EXTRA_MS = 5_000;

/** The relay is made of programs that expect pipes to take what they write. */
const COMMON = ['--no-motd', '--blocking-io', '-e', RELAY];

function passwordOption(password: string | undefined): string[] {
  // From stdin: no file holds it, and no other user can read it.
  return password === undefined ? [] : ['--password-file=-'];
}

/** Waits for a run that prints little. @returns what it printed @throws BackupError */
export async function outputOf(run: RsyncRun, signal: AbortSignal): Promise<string> {
  const chunks: Buffer[] = [];
  run.stdout.on('data', (chunk: Buffer) => chunks.push(chunk));
  await run.ended;
  throwIfAborted(signal);
  return Buffer.concat(chunks).toString('utf8');
}
