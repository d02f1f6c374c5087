import type { Readable } from 'node:stream';
import { orAbort } from '../../abort.ts';
import { abortError, BackupError } from '../../errors.ts';
import { StorageTurn } from '../storage-turn.ts';
import { isS3Code, statusOf } from './failures.ts';
import { answered, type ObjectPlace } from './object-place.ts';
import type { S3Store } from './store.ts';

const PERMISSION = 's3:GetObject';

/** Opens an object at any offset, and sees to it that it stays the same object. */
export class ObjectSource {
  readonly store: S3Store;
  readonly place: ObjectPlace;
  readonly signal: AbortSignal;
  #etag: string | undefined;

  constructor(store: S3Store, place: ObjectPlace, signal: AbortSignal) {
    this.store = store;
    this.place = place;
    this.signal = signal;
  }

  /**
   * @param end offset behind the last byte; to the end of the object when absent
   * @throws BackupError `not-found`; `incomplete` when another object has taken its place
   */
  async open(start: number, end?: number): Promise<Answer> {
    try {
      return await this.store.call(async (attempt) => await this.#request(attempt, start, end), {
        signal: this.signal,
        doing: `read ${this.place.name}`,
        permission: PERMISSION,
      });
    } catch (error) {
      if (this.#etag === undefined || statusOf(error) !== 412) throw error;
      throw new BackupError('incomplete', `${this.place.name} was replaced while it was read`, {
        transient: true,
        cause: error,
      });
    }
  }

  /** What happened to a connection while bytes came. */
  failure(thrown: unknown): BackupError {
    return this.store.failure(thrown, { doing: `read ${this.place.name}`, permission: PERMISSION });
  }

  async #request(
    attempt: Parameters<Parameters<S3Store['call']>[0]>[0],
    start: number,
    end?: number,
  ): Promise<Answer> {
    const { client, library, signal } = attempt;
    const isPart = start > 0 || end !== undefined;
    const command = new library.GetObjectCommand({
      ...this.place.request,
      ...(isPart ? { Range: `bytes=${start}-${end === undefined ? '' : end - 1}` } : {}),
      ...(this.#etag === undefined ? {} : { IfMatch: this.#etag }),
    });
    const { Body, ContentLength, ContentRange, ETag } = await client.send(command, { abortSignal: signal });
    const body = answered(this.store, Body) as Readable;
    const answer = new Answer(body, start + (ContentLength ?? 0), this);
    try {
      if (signal.aborted) throw abortError(signal);
      answered(this.store, ContentLength);
      this.#etag ??= answered(this.store, ETag);
      if (isPart && ContentRange === undefined) {
        throw new BackupError(
          'unavailable',
          `${this.store.server} does not give parts of ${this.place.name}`,
        );
      }
      return answer;
    } catch (error) {
      answer.close();
      throw error;
    }
  }
}

/** True when the server says that the object has no bytes at that offset. */
export function isOutside(thrown: unknown): boolean {
  return statusOf(thrown) === 416 || isS3Code(thrown, 'InvalidRange');
}

/** The bytes of one answer. */
export class Answer {
  /** Offset in the object behind the last of them. */
  readonly end: number;
  readonly #body: Readable;
  readonly #chunks: AsyncIterator<Buffer>;
  readonly #turn: StorageTurn;

  constructor(body: Readable, end: number, { store, place, signal }: ObjectSource) {
    this.end = end;
    this.#body = body;
    // It can fail while nobody reads.
    body.on('error', () => undefined);
    this.#chunks = body[Symbol.asyncIterator]();
    const complaint = `${store.server} gave nothing of ${place.name}`;
    this.#turn = new StorageTurn({ complaint, stallMs: store.stallMs, signal });
  }

  /** Undefined at its end. */
  async next(): Promise<Buffer | undefined> {
    this.#turn.begin();
    try {
      const { done, value } = await orAbort(this.#chunks.next(), this.#turn.signal);
      return done === true ? undefined : value;
    } finally {
      this.#turn.over();
    }
  }

  /** All bytes were taken: its connection can serve again. */
  finish(): void {
    this.#turn.close();
    this.#body.resume();
  }

  close(): void {
    this.#turn.close();
    this.#body.destroy();
  }
}
