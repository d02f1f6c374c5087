import { setTimeout as wait } from 'node:timers/promises';
import { orAbort } from '../../abort.ts';
import { BlockPool } from '../../bytes/block-pool.ts';
import { BLOCK_BYTES } from '../../bytes/stream.ts';
import { BackupError, toBackupError } from '../../errors.ts';
import { isS3Code } from './failures.ts';
import type { ObjectFields } from './object-fields.ts';
import { answered, type ObjectPlace } from './object-place.ts';
import { crc32Text, Part } from './part.ts';
import type { PartSizes } from './part-sizes.ts';
import type { S3Store } from './store.ts';

/** How long a server may take to put the parts together, in ms: AWS speaks of minutes. */
const COMPLETE_MS = 15 * 60_000;
/** How often the removal of an upload is repeated: a part under way can outlive the first one. */
const ABORTS = 3;
/** When it is looked again, in ms: such a part brings the upload back in Ceph, which can take it a while. */
const LATER_LOOKS_MS = [1000, 5000, 15_000];
const MIB = 1024 * 1024;

/** Uploads that this process is writing now: a sweep leaves them alone, whatever their age. */
const active = new Set<string>();

export function isActiveUpload(uploadId: string): boolean {
  return active.has(uploadId);
}

/**
 * One object in parts, which are uploaded side by side and again when they fail. It begins with the first part
 * that is sent, so that an object of one part needs none of it. Its parts together take no more memory than the
 * settings say, or two parts where parts have become larger than that.
 */
export class MultipartUpload {
  readonly #store: S3Store;
  readonly #place: ObjectPlace;
  readonly #fields: () => ObjectFields;
  readonly #sizes: PartSizes;
  readonly #budget: number;
  readonly #pool: BlockPool;
  readonly #stop = new AbortController();
  readonly #failed = new AbortController();
  readonly #tasks = new Set<Promise<void>>();
  readonly #etags = new Map<number, { readonly ETag: string; readonly ChecksumCRC32?: string }>();
  #creating: Promise<string> | undefined;
  #taken = 0;
  #sent = 0;
  #heldBytes = 0;
  #onFreed: () => void = () => undefined;

  /** @param fields what the object is stored with; asked for when the upload begins */
  constructor(store: S3Store, place: ObjectPlace, sizes: PartSizes, fields: () => ObjectFields) {
    this.#store = store;
    this.#place = place;
    this.#fields = fields;
    this.#sizes = sizes;
    const { partMiB, parallelParts } = store.options;
    this.#budget = partMiB * parallelParts * MIB;
    this.#pool = new BlockPool(BLOCK_BYTES, (partMiB * parallelParts * MIB) / BLOCK_BYTES);
  }

  /** Aborts with the error of the first part that could not be uploaded. */
  get failed(): AbortSignal {
    return this.#failed.signal;
  }

  get hasBegun(): boolean {
    return this.#sent > 0;
  }

  /** The next part to be filled, as soon as there is memory for it. */
  async take(): Promise<Part> {
    this.#taken += 1;
    const bytes = this.#sizes.bytesOf(this.#taken);
    while (this.#heldBytes > 0 && this.#heldBytes + bytes > Math.max(this.#budget, 2 * bytes)) {
      await this.#freed();
    }
    this.#heldBytes += bytes;
    return new Part(bytes, this.#pool, this.#store.target.checksum, this.#store.signsBodies);
  }

  /** Begins to upload the part that was taken last, as soon as there are not too many under way. */
  async send(part: Part): Promise<void> {
    while (this.#tasks.size >= this.#store.options.parallelParts) await this.#freed();
    this.#sent += 1;
    const number = this.#sent;
    const task = this.#upload(number, part)
      .then(() => {
        part.release();
        this.#heldBytes -= this.#sizes.bytesOf(number);
      })
      .catch((error: unknown) => this.#fail(error))
      .finally(() => {
        this.#tasks.delete(task);
        this.#onFreed();
      });
    this.#tasks.add(task);
  }

  /**
   * Waits for all parts.
   * @throws BackupError of the first part that failed
   */
  async finish(): Promise<void> {
    await Promise.all(this.#tasks);
    if (this.#failed.signal.aborted) throw toBackupError(this.#failed.signal.reason);
  }

  /**
   * Puts the parts together and so makes the object visible.
   * @param crc32 of the whole object, where parts are checked by CRC-32
   * @throws BackupError; `already-exists` when the server was asked for a new object, and there is one
   */
  async complete(onlyNew: boolean, crc32: number, signal: AbortSignal): Promise<void> {
    const UploadId = await this.#create();
    const Parts = Array.from({ length: this.#sent }, (_, index) => ({
      PartNumber: index + 1,
      ...this.#etags.get(index + 1),
    }));
    await this.#store.call(
      async ({ client, library, signal: abortSignal }) => {
        const command = new library.CompleteMultipartUploadCommand({
          ...this.#place.request,
          UploadId,
          MultipartUpload: { Parts },
          ...(onlyNew ? { IfNoneMatch: '*' } : {}),
          ...(this.#store.target.checksum === 'crc32'
            ? { ChecksumCRC32: crc32Text(crc32), ChecksumType: 'FULL_OBJECT' }
            : {}),
        });
        // Its ETag is empty in Ceph 16.
        answered(this.#store, (await client.send(command, { abortSignal })).Key);
      },
      {
        signal,
        doing: `store ${this.#place.name}`,
        permission: 's3:PutObject',
        stallMs: Math.max(COMPLETE_MS, this.#store.stallMs),
      },
    );
    active.delete(UploadId);
  }

  /** Ends all requests and removes the upload with its parts; safe to call twice. */
  async abort(signal: AbortSignal): Promise<void> {
    const interrupted = this.#tasks.size > 0;
    this.#stop.abort(new BackupError('aborted', `The upload of ${this.#place.name} was aborted`));
    await Promise.all(this.#tasks);
    const UploadId = await this.#creating?.catch(() => undefined);
    if (UploadId === undefined) return;
    try {
      await removeUpload(this.#store, this.#place, UploadId, signal);
      for (let again = 1; interrupted && again < ABORTS; again += 1) {
        if (!(await isThere(this.#store, this.#place, UploadId, signal))) break;
        await removeUpload(this.#store, this.#place, UploadId, signal);
      }
    } finally {
      active.delete(UploadId);
    }
    // Nobody waits for it: what it does not come to is swept.
    if (interrupted) removeAgain(this.#store, this.#place, UploadId, signal).catch(() => undefined);
  }

  /** Until a part that is under way has ended. One waits at a time. */
  #freed(): Promise<void> {
    return new Promise((resolve) => {
      this.#onFreed = resolve;
    });
  }

  #fail(error: unknown): void {
    this.#failed.abort(error);
    this.#stop.abort(error);
  }

  async #upload(PartNumber: number, part: Part): Promise<void> {
    const UploadId = await orAbort(this.#create(), this.#stop.signal);
    const ETag = await this.#store.call(
      async ({ client, library, signal: abortSignal, progress }) => {
        const Body = part.body(progress);
        try {
          const command = new library.UploadPartCommand({
            ...this.#place.request,
            UploadId,
            PartNumber,
            Body,
            ContentLength: part.bytes,
            ...part.checksums,
          });
          return answered(this.#store, (await client.send(command, { abortSignal })).ETag);
        } finally {
          Body.destroy();
        }
      },
      {
        signal: this.#stop.signal,
        doing: `upload part ${PartNumber} of ${this.#place.name}`,
        permission: 's3:PutObject',
      },
    );
    const { ChecksumCRC32 } = part.checksums;
    this.#etags.set(PartNumber, { ETag, ...(ChecksumCRC32 === undefined ? {} : { ChecksumCRC32 }) });
  }

  #create(): Promise<string> {
    if (this.#creating === undefined) {
      this.#creating = this.#begin();
      this.#creating.catch(() => undefined);
    }
    return this.#creating;
  }

  /** Is not cut short by an abort: the server could have begun an upload whose id nobody knows then. */
  async #begin(): Promise<string> {
    const id = await this.#store.call(
      async ({ client, library, signal: abortSignal }) => {
        const command = new library.CreateMultipartUploadCommand({
          ...this.#place.request,
          ...this.#fields(),
          ...(this.#store.target.checksum === 'crc32'
            ? { ChecksumAlgorithm: 'CRC32', ChecksumType: 'FULL_OBJECT' }
            : {}),
        });
        return answered(this.#store, (await client.send(command, { abortSignal })).UploadId);
      },
      {
        signal: NEVER,
        doing: `begin the upload of ${this.#place.name}`,
        permission: 's3:PutObject',
        again: () => !this.#stop.signal.aborted,
      },
    );
    active.add(id);
    return id;
  }
}

/** Removes an upload; no error when it is gone already. */
export async function removeUpload(
  store: S3Store,
  place: ObjectPlace,
  UploadId: string,
  signal: AbortSignal,
): Promise<void> {
  try {
    await store.call(
      async ({ client, library, signal: abortSignal }) => {
        const command = new library.AbortMultipartUploadCommand({ ...place.request, UploadId });
        await client.send(command, { abortSignal });
      },
      { signal, doing: `abort the upload of ${place.name}`, permission: 's3:AbortMultipartUpload' },
    );
  } catch (error) {
    if (!isS3Code(error, 'NoSuchUpload', 'NoSuchKey')) throw error;
  }
}

/** Holds nothing of the upload's memory meanwhile. */
async function removeAgain(
  store: S3Store,
  place: ObjectPlace,
  UploadId: string,
  signal: AbortSignal,
): Promise<void> {
  for (const ms of LATER_LOOKS_MS) {
    await wait(ms, undefined, { signal, ref: false });
    if (await isThere(store, place, UploadId, signal)) await removeUpload(store, place, UploadId, signal);
  }
}

/** Servers that do not tell are believed to have removed it. */
async function isThere(
  store: S3Store,
  place: ObjectPlace,
  UploadId: string,
  signal: AbortSignal,
): Promise<boolean> {
  return await store
    .call(
      async ({ client, library, signal: abortSignal }) => {
        const command = new library.ListPartsCommand({ ...place.request, UploadId, MaxParts: 1 });
        await client.send(command, { abortSignal });
        return true;
      },
      {
        signal,
        doing: `look for the upload of ${place.name}`,
        permission: 's3:ListMultipartUploadParts',
        attempts: 1,
      },
    )
    .catch(() => false);
}

const NEVER = new AbortController().signal;
