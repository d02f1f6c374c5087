import { BackupError } from '../../errors.ts';

/** The header of a dump is not longer, in bytes. */
const HEAD_BYTES = 64 * 1024;
/** The last line of a dump is not longer, in bytes. */
const TAIL_BYTES = 128;

/** What a dump tool writes last when it was done; older ones add the date. */
const COMPLETED = /(?:^|\n)-- Dump completed(?: on [^\n]*)?\n$/;
/** `CHANGE MASTER TO MASTER_LOG_FILE='binlog.000001', MASTER_LOG_POS=4`, or with SOURCE from MySQL 8.0.26 on. */
const POSITION = /^-- CHANGE .*?_LOG_FILE='([^']+)', (?:MASTER|SOURCE)_LOG_POS=(\d+);/m;

export interface BinlogPosition {
  readonly file: string;
  readonly position: number;
}

/** Reads a dump's text as it passes: a little of its beginning, and its last line. */
export class DumpText {
  bytes = 0;
  #head: Buffer[] = [];
  #headBytes = 0;
  #tail: Buffer = Buffer.alloc(0);

  take(chunk: Buffer): void {
    this.bytes += chunk.length;
    if (this.#headBytes < HEAD_BYTES) {
      const part = Buffer.from(chunk.subarray(0, HEAD_BYTES - this.#headBytes));
      this.#head.push(part);
      this.#headBytes += part.length;
    }
    // A copy: the chunk belongs to whoever reads it.
    this.#tail =
      chunk.length >= TAIL_BYTES
        ? Buffer.from(chunk.subarray(-TAIL_BYTES))
        : Buffer.concat([this.#tail, chunk]).subarray(-TAIL_BYTES);
  }

  /** @throws BackupError `incomplete` when the last line is not the one that a tool which was done writes */
  requireEnd(): void {
    if (COMPLETED.test(this.#tail.toString('latin1'))) return;
    throw new BackupError(
      'incomplete',
      `The dump ends after ${this.bytes} bytes without the line "-- Dump completed": the tool was not done`,
      { transient: true },
    );
  }

  /** Where the binary log stood at the moment of the dump, when it was asked for. */
  binlogPosition(): BinlogPosition | undefined {
    const found = POSITION.exec(Buffer.concat(this.#head).toString('utf8'));
    const [, file, position] = found ?? [];
    return file === undefined ? undefined : { file, position: Number(position) };
  }
}
