import { BackupError } from '../../errors.ts';

/** What is looked at of the beginning and of the end of a script, in bytes. */
const WINDOW_BYTES = 2048;

/** What a script is of, as its last comment says it. */
export type ScriptKind = 'database' | 'database cluster';

/**
 * Follows a SQL script of pg_dump or pg_dumpall as it passes. It is complete when it ends with the comment that
 * says so. Newer versions also close there what they opened at the beginning, `\restrict <token>`, by the same
 * random token, before or behind the comment.
 */
export class ScriptReader {
  readonly #kind: ScriptKind;
  #head: Buffer = Buffer.alloc(0);
  #tail: Buffer = Buffer.alloc(0);
  #bytes = 0;

  constructor(kind: ScriptKind) {
    this.#kind = kind;
  }

  take(chunk: Buffer): void {
    this.#bytes += chunk.length;
    const missing = WINDOW_BYTES - this.#head.length;
    if (missing > 0) this.#head = Buffer.concat([this.#head, chunk.subarray(0, missing)]);
    this.#tail = Buffer.concat([this.#tail, chunk.subarray(-WINDOW_BYTES)]).subarray(-WINDOW_BYTES);
  }

  /**
   * @returns the length of the script in bytes
   * @throws BackupError `incomplete` when it ended early
   */
  end(): number {
    const lines = this.#tail
      .toString('utf8')
      .split('\n')
      .filter((line) => line.trim() !== '');
    const last = lines.slice(-4);
    const comment = last.lastIndexOf(`-- PostgreSQL ${this.#kind} dump complete`);
    const behind = last.slice(comment + 2);
    const token = /^\\restrict (\S+)$/m.exec(this.#head.toString('utf8'))?.[1];
    const isClosed = token === undefined || last.includes(`\\unrestrict ${token}`);
    const isLast = behind.every((line) => line.startsWith('\\unrestrict '));
    if (comment < 1 || last[comment - 1] !== '--' || last[comment + 1] !== '--' || !isLast || !isClosed) {
      throw new BackupError('incomplete', `The script ends early: it does not say that the dump is complete`);
    }
    return this.#bytes;
  }
}
