import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';

const PROGRAM = join(import.meta.dirname, '../fixtures/sqlite-connection-process.ts');

/** A database connection in a process of its own. */
export class OtherProcess {
  readonly #process: ChildProcess;

  private constructor(child: ChildProcess) {
    this.#process = child;
  }

  /** Opens the file and runs statements that must succeed. */
  static async open(path: string, ...statements: string[]): Promise<OtherProcess> {
    const other = new OtherProcess(fork(PROGRAM, [path], { execArgv: [] }));
    for (const sql of statements) {
      const answer = await other.run(sql);
      if (/^(SQLITE_|.*Error)/.test(answer)) throw new Error(`${sql}: ${answer}`);
    }
    return other;
  }

  /** `ok`, the first value of a SELECT, or SQLite's error code. */
  async run(sql: string): Promise<string> {
    const answer = once(this.#process, 'message');
    this.#process.send(sql);
    return String((await answer)[0]);
  }

  /** Ends the process at once: nothing is closed, rolled back or checkpointed. */
  async kill(): Promise<void> {
    const ended = once(this.#process, 'exit');
    this.#process.kill('SIGKILL');
    await ended;
  }
}
