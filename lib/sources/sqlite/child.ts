import { type ChildProcess, fork } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { abortError, BackupError, throwIfAborted } from '../../errors.ts';
import { type HostSignal, type SqliteReply, type SqliteRequest, siblingModule } from './protocol.ts';

type ReplyOf<T extends SqliteReply['type']> = Extract<SqliteReply, { type: T }>;

interface Waiting {
  readonly resolve: (reply: SqliteReply) => void;
  readonly reject: (error: BackupError) => void;
}

/** What a crashed child wrote last is kept up to this length, in characters. */
const STDERR_CHARACTERS = 2000;

/**
 * A child process that serves one request (see protocol.ts). It ends when it is done, when it is killed,
 * when the signal aborts, and when this process ends, however that happens.
 */
export class SqliteChild {
  /** Resolves when the process is gone. */
  readonly ended: Promise<void>;
  readonly #process: ChildProcess;
  readonly #subject: string;
  readonly #replies = new Map<SqliteReply['type'], SqliteReply>();
  readonly #waiting = new Map<SqliteReply['type'], Waiting>();
  #failure: BackupError | undefined;
  #hasEnded = false;
  #blocks = 0;
  #wake: () => void = () => {};
  #stderr = '';

  /**
   * @param subject what the child works on, for errors
   * @throws BackupError `aborted` when the signal is so already
   */
  constructor(request: SqliteRequest, subject: string, signal: AbortSignal) {
    throwIfAborted(signal);
    this.#subject = subject;
    this.#process = startProcess();
    this.#process.stderr?.setEncoding('utf8').on('data', (text: string) => {
      this.#stderr = (this.#stderr + text).slice(-STDERR_CHARACTERS);
    });
    const onAbort = (): void => this.#fail(abortError(signal));
    signal.addEventListener('abort', onAbort, { once: true });
    this.ended = new Promise((resolve) => {
      this.#process.on('error', (error) => this.#fail(this.#startFailure(error)));
      this.#process.on('close', (code, killedBy) => {
        signal.removeEventListener('abort', onAbort);
        this.#hasEnded = true;
        this.#onEnd(code, killedBy);
        resolve();
      });
    });
    this.#process.on('message', (reply: SqliteReply) => this.#onReply(reply));
    this.#process.send(request, (error) => {
      if (error !== null) this.#fail(this.#startFailure(error));
    });
  }

  /** Tells the child how far the host is. A child that is gone is noticed elsewhere. */
  signal(signal: HostSignal): void {
    this.#process.send(signal, () => {});
  }

  /** Waits until the ring holds that many blocks in all, counted from the start. */
  async hasBlocks(count: number): Promise<void> {
    while (this.#blocks < count) {
      if (this.#failure !== undefined) throw this.#failure;
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
    }
  }

  get pid(): number | undefined {
    return this.#process.pid;
  }

  /** Why the request failed, once it has. */
  get failure(): BackupError | undefined {
    return this.#failure;
  }

  /** Waits for a reply. To be asked for once per type. */
  expect<T extends SqliteReply['type']>(type: T): Promise<ReplyOf<T>> {
    const reply = new Promise<SqliteReply>((resolve, reject) => {
      const arrived = this.#replies.get(type);
      if (arrived !== undefined) resolve(arrived);
      else if (this.#failure !== undefined) reject(this.#failure);
      else this.#waiting.set(type, { resolve, reject });
    });
    reply.catch(() => {});
    return reply as Promise<ReplyOf<T>>;
  }

  /** Resolves when the process has ended by itself with exit code 0. */
  async finished(): Promise<void> {
    await this.ended;
    if (this.#failure !== undefined) throw this.#failure;
  }

  /** Kills the process, if it is still there, and waits until it is gone. A first failure is kept. */
  async kill(failure = new BackupError('aborted', `The work on ${this.#subject} was ended`)): Promise<void> {
    if (!this.#hasEnded) this.#fail(failure);
    await this.ended;
  }

  #fail(failure: BackupError): void {
    this.#failure ??= failure;
    for (const { reject } of this.#waiting.values()) reject(this.#failure);
    this.#waiting.clear();
    this.#wake();
    this.#process.kill('SIGKILL');
  }

  #onReply(reply: SqliteReply): void {
    if (reply.type === 'failed') {
      const { code, message, transient } = reply;
      this.#fail(new BackupError(code, message, { transient }));
      return;
    }
    if (reply.type === 'block') {
      this.#blocks += 1;
      this.#wake();
      return;
    }
    this.#replies.set(reply.type, reply);
    this.#waiting.get(reply.type)?.resolve(reply);
    this.#waiting.delete(reply.type);
  }

  #onEnd(code: number | null, killedBy: NodeJS.Signals | null): void {
    if (code === 0 && this.#waiting.size === 0) return;
    const how = killedBy === null ? `ended with exit code ${code}` : `was killed (${killedBy})`;
    const said = this.#stderr.trim() === '' ? '' : `: ${this.#stderr.trim()}`;
    const message = `The process that reads ${this.#subject} ${how} before it was done${said}`;
    this.#fail(new BackupError('incomplete', message, { transient: true }));
  }

  #startFailure(error: Error): BackupError {
    return new BackupError(
      'unavailable',
      `The process that reads ${this.#subject} cannot be started: ${error.message}`,
      { transient: true, cause: error },
    );
  }
}

/** Runs a request that has one reply and no bytes. */
export async function askSqlite<T extends 'probed' | 'checked' | 'answered'>(
  request: SqliteRequest,
  reply: T,
  subject: string,
  signal: AbortSignal,
): Promise<ReplyOf<T>> {
  const child = new SqliteChild(request, subject, signal);
  try {
    const answer = await child.expect(reply);
    await child.finished();
    return answer;
  } finally {
    await child.ended;
  }
}

function startProcess(): ChildProcess {
  return fork(fileURLToPath(siblingModule('process')), [], {
    // The host's own flags (an inspector's port, a loader) are not for the child: it needs none.
    execArgv: [],
    env: childEnvironment(),
    stdio: ['ignore', 'ignore', 'pipe', 'ipc'],
  });
}

/** Without the product's secrets, and without flags for the host's Node.js. */
function childEnvironment(): NodeJS.ProcessEnv {
  const entries = Object.entries(process.env);
  return Object.fromEntries(
    entries.filter(([name]) => name !== 'NODE_OPTIONS' && !name.startsWith('DBACKUP_')),
  );
}
