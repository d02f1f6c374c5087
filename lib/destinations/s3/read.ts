import { pause, pauseBefore } from '../../backoff.ts';
import type { ByteStream } from '../../bytes/stream.ts';
import { BackupError, throwIfAborted } from '../../errors.ts';
import type { ReadOptions } from '../driver.ts';
import { statusOf } from './failures.ts';
import { type ObjectPlace, placeOf } from './object-place.ts';
import { type Answer, isOutside, ObjectSource } from './object-source.ts';
import { findObject } from './objects.ts';
import { PAUSES } from './pauses.ts';
import type { S3Store } from './store.ts';

/** See the port's `read`. */
export async function readObject(
  store: S3Store,
  path: string,
  { signal, range }: ReadOptions,
): Promise<ByteStream> {
  throwIfAborted(signal);
  const place = placeOf(store, path);
  const { start, end } = checkedRange(place, range);
  if (start !== end) {
    const source = new ObjectSource(store, place, signal);
    try {
      return new ObjectStream(source, await source.open(start, end), start);
    } catch (error) {
      if (statusOf(error) === 403) await requireObject(store, place, signal);
      if (!isOutside(error)) throw error;
    }
  }
  // Servers answer a range that begins at the end of an object as they do one that begins behind it.
  const bytes = await requireObject(store, place, signal);
  if (start > bytes) {
    throw new BackupError(
      'invalid-config',
      `Bytes from ${start} of ${place.name} cannot be read: it has ${bytes}`,
    );
  }
  return none();
}

function checkedRange(place: ObjectPlace, range: ReadOptions['range']): { start: number; end?: number } {
  const { start, end } = range ?? { start: 0 };
  const isWhole = Number.isSafeInteger(start) && (end === undefined || Number.isSafeInteger(end));
  if (!isWhole || start < 0 || (end !== undefined && end < start)) {
    throw new BackupError('invalid-config', `Bytes ${start} to ${end} of ${place.name} cannot be read`);
  }
  return end === undefined ? { start } : { start, end };
}

/** Its bytes. @throws BackupError `not-found` */
async function requireObject(
  store: S3Store,
  { path, name }: ObjectPlace,
  signal: AbortSignal,
): Promise<number> {
  const found = await findObject(store, path, signal);
  if (found === undefined) throw new BackupError('not-found', `There is no ${name}`);
  return found.info.bytes;
}

async function* none(): AsyncGenerator<Buffer, void> {}

/** One pass over a part of an object. A connection that fails is replaced by another one, at the same byte. */
class ObjectStream implements ByteStream, AsyncIterator<Buffer, void> {
  readonly #source: ObjectSource;
  readonly #end: number;
  #answer: Answer;
  #position: number;
  /** Connections that gave nothing, in a row. */
  #failed = 0;
  #ended = false;
  readonly #onAbort = () => this.#close();

  constructor(source: ObjectSource, answer: Answer, start: number) {
    this.#source = source;
    this.#answer = answer;
    this.#position = start;
    this.#end = answer.end;
    source.signal.addEventListener('abort', this.#onAbort, { once: true });
  }

  [Symbol.asyncIterator](): AsyncIterator<Buffer, void> {
    return this;
  }

  async next(): Promise<IteratorResult<Buffer, void>> {
    throwIfAborted(this.#source.signal);
    while (!this.#ended && this.#position < this.#end) {
      try {
        const value = await this.#answer.next();
        if (value === undefined) throw this.#cutShort();
        this.#position += value.length;
        this.#failed = 0;
        return { done: false, value };
      } catch (thrown) {
        await this.#reopen(thrown);
      }
    }
    this.#finish();
    return { done: true, value: undefined };
  }

  async return(): Promise<IteratorResult<Buffer, void>> {
    this.#close();
    return { done: true, value: undefined };
  }

  async #reopen(thrown: unknown): Promise<void> {
    const { signal, store } = this.#source;
    this.#answer.close();
    try {
      throwIfAborted(signal);
      const failure = this.#source.failure(thrown);
      this.#failed += 1;
      if (!failure.transient || this.#failed >= store.options.attempts) throw failure;
      await pause(pauseBefore(this.#failed, PAUSES), signal);
      this.#answer = await this.#source.open(this.#position, this.#end);
    } catch (error) {
      this.#close();
      throw error;
    }
    // Left or aborted meanwhile.
    if (this.#ended) this.#answer.close();
  }

  #cutShort(): BackupError {
    const { name } = this.#source.place;
    return new BackupError('incomplete', `${name} ended after ${this.#position} of ${this.#end} bytes`, {
      transient: true,
    });
  }

  #finish(): void {
    if (this.#ended) return;
    this.#ended = true;
    this.#source.signal.removeEventListener('abort', this.#onAbort);
    this.#answer.finish();
  }

  #close(): void {
    this.#ended = true;
    this.#source.signal.removeEventListener('abort', this.#onAbort);
    this.#answer.close();
  }
}
