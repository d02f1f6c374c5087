import { fstatSync, openSync } from 'node:fs';
import { join } from 'node:path';
import { Worker } from 'node:worker_threads';
import { toBackupError } from '../../errors.ts';
import { Feed, RING_BYTES } from './feed.ts';
import {
  type CheckedReply,
  type DumpRequest,
  type HostSignal,
  type SqliteReply,
  type SqliteRequest,
  siblingModule,
} from './protocol.ts';
import type { Snapshot } from './snapshot.ts';
import { snapshotSource } from './snapshot-reader.ts';
import { createSpoolFolder, requireSpace, spoolFailure } from './spool.ts';
import type { OpenedReply, WorkerReply } from './worker.ts';

/** The entry of the child process that opens database files for the host: see protocol.ts. */

/** How often the growth of the write-ahead log is looked at, in milliseconds. */
const GROWTH_INTERVAL_MS = 200;

// The host ends this process with SIGKILL. A Ctrl-C reaches the whole process group, and the host decides.
process.on('SIGINT', () => {});
process.on('SIGTERM', () => {});
// A SQLite call in the other thread would hold up an orderly exit.
process.on('disconnect', endAtOnce);
process.once('message', (request: SqliteRequest) => serve(request));

function serve(request: SqliteRequest): void {
  const worker = new Worker(siblingModule('worker'), { workerData: request });
  const delivery = request.task === 'dump' ? new DumpDelivery(request, worker) : undefined;
  process.on('message', (signal: HostSignal) => delivery?.onHostSignal(signal));
  worker.on('message', (message: WorkerReply) => {
    if (message.type === 'failed') fail(message);
    else if (message.type === 'opened') delivery?.onOpened(message);
    else if (message.type === 'checked' && delivery !== undefined) delivery.onChecked(message);
    else send(message);
  });
  // Only what the thread cannot catch: a module that does not load, or no memory.
  worker.on('error', (error) => {
    fail({
      type: 'failed',
      code: 'unavailable',
      message: `SQLite (better-sqlite3) does not work here: ${error.message}`,
      transient: false,
    });
  });
  worker.on('exit', () => {
    if (delivery === undefined) leave();
    else delivery.onWorkerEnd();
  });
}

/** Brings the two halves of a dump together: the bytes for the host, and the check in the thread. */
class DumpDelivery {
  readonly #request: DumpRequest;
  readonly #worker: Worker;
  readonly #warnings: string[] = [];
  #feed: Feed | undefined;
  #run: () => void = () => {};
  #spilled = false;
  #delivered = false;
  #checked: CheckedReply | undefined;
  #reported = false;
  #workerEnded = false;

  constructor(request: DumpRequest, worker: Worker) {
    this.#request = request;
    this.#worker = worker;
  }

  /** Offers the host a finished copy, or a ring through which the snapshot will pass. */
  onOpened({ pages, pageSize, version, from }: OpenedReply): void {
    const size = { pages, pageSize, version };
    if ('spool' in from) {
      this.#run = () => this.#onDelivered();
      send({ type: 'ready', ...size, file: from.spool, layout: 'spool' });
      return;
    }
    const { spoolFolder } = this.#request;
    try {
      createSpoolFolder(spoolFolder);
      requireSpace(spoolFolder, Math.min(pages * pageSize, RING_BYTES), 0);
      const file = join(spoolFolder, 'ring');
      const ring = { descriptor: openSync(file, 'wx+', 0o600), folder: spoolFolder };
      const source = snapshotSource(from.snapshot);
      const feed = new Feed(ring, pages * pageSize, source, () => send({ type: 'block' }));
      this.#feed = feed;
      this.#run = () => this.#deliver(feed, from.snapshot);
      send({ type: 'ready', ...size, file, layout: 'ring' });
    } catch (error) {
      failWith(spoolFailure(error, spoolFolder), spoolFolder);
    }
  }

  onHostSignal(signal: HostSignal): void {
    if (signal === 'opened') this.#run();
    else this.#feed?.release();
  }

  onChecked(reply: CheckedReply): void {
    this.#checked = reply;
    this.#finish();
  }

  /** After a spill the database is let go of before all bytes are out. */
  onWorkerEnd(): void {
    this.#workerEnded = true;
    this.#leaveWhenDone();
  }

  #deliver(feed: Feed, snapshot: Snapshot): void {
    const watch = this.#watchGrowth(feed, snapshot);
    feed.run().then(
      () => {
        clearInterval(watch);
        this.#onDelivered();
      },
      (error) => failWith(error, this.#request.file),
    );
  }

  /** While readers hold a moment the log cannot begin anew, so a slow consumer would let it grow for ever. */
  #watchGrowth(feed: Feed, { wal }: Snapshot): NodeJS.Timeout {
    const limit = fstatSync(wal).size + this.#request.walGrowthBytes;
    const watch = setInterval(() => {
      if (fstatSync(wal).size <= limit) return;
      clearInterval(watch);
      feed.spill(this.#request.spoolFolder).then(
        () => {
          this.#spilled = true;
          this.#worker.postMessage('release');
        },
        (error: Error) => {
          this.#warnings.push(
            `The write-ahead log grew past its limit, and the rest could not be moved to the spool folder: ${error.message}`,
          );
        },
      );
    }, GROWTH_INTERVAL_MS);
    return watch;
  }

  #onDelivered(): void {
    this.#delivered = true;
    this.#finish();
  }

  #finish(): void {
    if (!this.#delivered || this.#checked === undefined) return;
    const { inspection, spooled } = this.#checked;
    send({
      type: 'checked',
      inspection: { ...inspection, warnings: [...inspection.warnings, ...this.#warnings] },
      spooled: spooled || this.#spilled,
    });
    this.#reported = true;
    this.#worker.postMessage('release');
    this.#leaveWhenDone();
  }

  #leaveWhenDone(): void {
    if (this.#reported && this.#workerEnded) leave();
  }
}

function send(reply: SqliteReply): void {
  if (process.connected) process.send?.(reply);
}

function failWith(error: unknown, context: string): void {
  const { code, message, transient } = toBackupError(error, context);
  fail({ type: 'failed', code, message, transient });
}

function fail(reply: SqliteReply): void {
  if (!process.connected) endAtOnce();
  process.send?.(reply, () => process.exit(1));
}

/** Ends with code 0 once all messages are out. */
function leave(): void {
  process.off('disconnect', endAtOnce);
  if (process.connected) process.disconnect();
}

function endAtOnce(): void {
  process.kill(process.pid, 'SIGKILL');
}
