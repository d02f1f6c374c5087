import { orAbort } from '../../abort.ts';
import { pause, pauseBefore } from '../../backoff.ts';
import { abortError, type BackupError, throwIfAborted } from '../../errors.ts';
import { StorageTurn } from '../storage-turn.ts';
import { openSession, type S3Session } from './client.ts';
import { isBusy, isClockCorrected, isS3Code, s3Failure } from './failures.ts';
import type { S3Options } from './options.ts';
import { KeySpace } from './paths.ts';
import { BUSY_PAUSES, PAUSES } from './pauses.ts';
import { resolveTarget, type S3Target } from './providers.ts';

/** One request, which may be made several times. */
export interface Call {
  readonly signal: AbortSignal;
  /** As in `Cannot ${doing}`: `list s3://bucket/folder`. */
  readonly doing: string;
  /** What a policy must allow for it: `s3:PutObject`. */
  readonly permission: string;
  /** How long the server may take to answer, in ms, where that is not what the settings say. */
  readonly stallMs?: number;
  readonly attempts?: number;
  /** Whether an attempt that failed passingly may have a successor; default yes. */
  readonly again?: () => boolean;
}

/** One attempt of a request. */
export interface Attempt extends S3Session {
  /** Ends the attempt: it was cancelled, or the server hangs. */
  readonly signal: AbortSignal;
  /** The server has taken or given something: the time in which it must do so begins anew. */
  progress(): void;
}

/** A bucket, or a folder in it, and how requests to it are made. */
export class S3Store {
  readonly options: S3Options;
  readonly target: S3Target;
  readonly keys: KeySpace;
  readonly bucket: string;
  /** How long objects are locked, in ms, where not for the days of the settings: for the test of a storage. */
  readonly lockMs: number | undefined;
  /** Set once a server that was asked for `If-None-Match` has said that it does not know it. */
  lacksConditions = false;
  #hasSeenBucket = false;
  #session: Promise<S3Session> | undefined;
  #clock: { readonly systemClockOffset?: number } = {};

  /** @throws BackupError `invalid-config` */
  constructor(options: S3Options, lockMs?: number) {
    this.options = options;
    this.lockMs = lockMs;
    this.target = resolveTarget(options);
    this.keys = new KeySpace(options.prefix);
    this.bucket = options.bucket;
  }

  /** Where it is, as an address to which a path can be added. */
  get location(): string {
    const { endpoint } = this.target;
    const root = endpoint === undefined ? 's3:/' : endpoint;
    const folder = this.options.prefix === '' ? '' : `/${encodeURI(this.options.prefix)}`;
    return `${root}/${this.bucket}${folder}`;
  }

  /** The server, for messages. */
  get server(): string {
    return this.target.endpoint ?? 'AWS';
  }

  /** An object, for messages. */
  nameOf(path: string): string {
    return path === '' ? this.location : `${this.location}/${path}`;
  }

  /** How far the clock of the server is ahead of ours by its last answer, in ms; 0 before there was one. */
  get clockOffset(): number {
    return this.#clock.systemClockOffset ?? 0;
  }

  /** How long the server may take to answer, or to take or give the next bytes, in ms. */
  get stallMs(): number {
    return this.options.timeout * 1000;
  }

  /** The bucket is known to exist: `404` means the object. */
  get hasSeenBucket(): boolean {
    return this.#hasSeenBucket;
  }

  /** Requests carry a hash of their body where TLS does not protect it. */
  get signsBodies(): boolean {
    return this.target.endpoint?.startsWith('http://') === true;
  }

  /**
   * Makes a request, and makes it again after a pause as long as its failures are passing ones.
   * @throws BackupError that says what failed and what to do; its cause has the name that the server gave
   */
  async call<T>(request: (attempt: Attempt) => Promise<T>, call: Call): Promise<T> {
    const { signal, attempts = this.options.attempts } = call;
    for (let failed = 1; ; failed += 1) {
      try {
        const answer = await this.#attempt(request, call);
        this.#hasSeenBucket = true;
        return answer;
      } catch (thrown) {
        throwIfAborted(signal);
        const failure = this.failure(thrown, call);
        const isPassing =
          (failure.transient && !isS3Code(thrown, 'NoSuchUpload')) || isClockCorrected(thrown);
        if (!isPassing || failed >= attempts || call.again?.() === false) throw failure;
        await pause(pauseBefore(failed, isBusy(thrown) ? BUSY_PAUSES : PAUSES), signal);
      }
    }
  }

  async #attempt<T>(request: (attempt: Attempt) => Promise<T>, call: Call): Promise<T> {
    throwIfAborted(call.signal);
    const { stallMs = this.stallMs, signal } = call;
    const turn = new StorageTurn({ complaint: `${this.server} did not answer`, stallMs, signal });
    try {
      const session = await orAbort(this.#open(), turn.signal);
      turn.begin();
      const progress = () => turn.begin();
      return await orAbort(request({ ...session, signal: turn.signal, progress }), turn.signal);
    } catch (error) {
      if (turn.signal.aborted) throw abortError(turn.signal);
      throw error;
    } finally {
      turn.close();
    }
  }

  async #open(): Promise<S3Session> {
    if (this.#session === undefined) {
      const opening = openSession(this.options, this.target);
      this.#session = opening;
      // A CA file that was missing can be there the next time.
      opening.catch(() => {
        this.#session = undefined;
      });
    }
    const session = await this.#session;
    this.#clock = session.client.config;
    return session;
  }

  /** The failure of a request, or of what its answer goes on with. */
  failure(thrown: unknown, { doing, permission }: Pick<Call, 'doing' | 'permission'>): BackupError {
    const { bucket, server } = this;
    const unusual = permission === 's3:PutObject' ? unusualSettings(this.options) : '';
    return s3Failure(thrown, { doing, permission, bucket, server, unusual });
  }
}

/** Settings of objects that not every server knows. */
function unusualSettings({ storageClass, encryption, lockMode, legalHold }: S3Options): string {
  const settings = [
    storageClass === '' ? '' : `the storage class ${storageClass}`,
    encryption === 'none' ? '' : `the encryption ${encryption}`,
    lockMode === 'none' && !legalHold ? '' : 'object lock in this bucket',
  ];
  return settings.filter((each) => each !== '').join(', ');
}
