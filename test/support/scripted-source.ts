import type { ByteStream } from '../../lib/bytes/stream.ts';
import { BackupError, throwIfAborted } from '../../lib/errors.ts';
import type { DatabaseInfo, Dump, DumpLane, DumpProof, SourceDriver } from '../../lib/sources/driver.ts';
import { sqlText } from './byte-streams.ts';

/** How one database of a scripted source behaves. */
export interface Script {
  readonly name: string;
  readonly bytes: number;
  /** The stream breaks after so many bytes. */
  readonly breaksAfter?: number;
  /** The stream ends quietly after so many bytes, and the proof tells: a tool that died. */
  readonly diesAfter?: number;
  /** The stream stops giving bytes after so many and never ends by itself. */
  readonly hangsAfter?: number;
  readonly proofFails?: boolean;
  /** The proof is never given. */
  readonly proofHangs?: boolean;
  readonly refusesToStart?: boolean;
  /** The dump never starts. */
  readonly startHangs?: boolean;
  /** The databases cannot be listed, or the listing hangs. */
  readonly listing?: 'fails' | 'hangs';
  /** So many dumps fail at first, in this way, with errors that pass; then all is well. */
  readonly passing?: { readonly how: 'start' | 'break' | 'die' | 'proof'; readonly times: number };
  /** After so many dumps somebody has dropped it. */
  readonly goneAfter?: number;
  /** So many listings fail at first. */
  readonly listingFailures?: number;
  /** Noticed while listing. */
  readonly warnings?: readonly string[];
}

/** A source of deterministic text with faults on demand, for tests of the engine alone. */
export class ScriptedSource implements SourceDriver {
  readonly kind = 'scripted';
  /** How often each database was dumped. */
  readonly dumps = new Map<string, number>();
  /** Dumps that are under way: zero when nothing leaks. */
  open = 0;
  /** The most that were under way at a time. */
  mostOpen = 0;
  /** To be set before the run. */
  lane?: DumpLane;
  /** Called when a dump is asked for; it starts when this resolves. */
  onDump: (name: string) => Promise<void> = async () => undefined;
  /** Every signal that it was given. */
  readonly signals: AbortSignal[] = [];
  /** How often the databases were asked for. */
  listings = 0;
  readonly #scripts: readonly Script[];
  readonly #contents: ReadonlyMap<string, Buffer>;

  constructor(...scripts: Script[]) {
    this.#scripts = scripts;
    // Made before the run: it holds up the process, which a test's short stall limit would blame on a storage.
    this.#contents = new Map(scripts.map(({ name, bytes }) => [name, ScriptedSource.contentOf(name, bytes)]));
  }

  describe(): string {
    return 'scripted source';
  }

  async probe() {
    return { version: '1', summary: 'scripted', warnings: [] };
  }

  async listDatabases(signal: AbortSignal): Promise<DatabaseInfo[]> {
    this.signals.push(signal);
    this.listings += 1;
    if (this.#scripts.some(({ listingFailures = 0 }) => this.listings <= listingFailures))
      throw new BackupError('unavailable', 'The server is starting', { transient: true });
    if (this.#scripts.some(({ listing }) => listing === 'hangs')) await hang(signal);
    if (this.#scripts.some(({ listing }) => listing === 'fails'))
      throw new BackupError('unavailable', 'The server does not answer');
    return this.#scripts.map(({ name, bytes, warnings = [] }) => ({ id: name, name, bytes, warnings }));
  }

  async dump(database: DatabaseInfo, signal: AbortSignal): Promise<Dump> {
    const script = this.#scripts.find(({ name }) => name === database.id);
    if (script === undefined) throw new BackupError('not-found', `There is no ${database.id}`);
    await this.onDump(script.name);
    if (script.refusesToStart) throw new BackupError('unavailable', `${script.name} refuses to start`);
    if (script.startHangs) await hang(signal);
    const dumps = (this.dumps.get(script.name) ?? 0) + 1;
    this.dumps.set(script.name, dumps);
    if (dumps > (script.goneAfter ?? dumps)) throw new BackupError('not-found', `There is no ${database.id}`);
    const fault = dumps <= (script.passing?.times ?? 0) ? script.passing?.how : undefined;
    if (fault === 'start') throw passing(`${script.name} does not start now`);
    const dump = new ScriptedDump(
      afflicted(script, fault),
      this.#contents.get(script.name) ?? Buffer.alloc(0),
      signal,
    );
    this.open += 1;
    this.mostOpen = Math.max(this.mostOpen, this.open);
    dump.proof
      .catch(() => undefined)
      .finally(() => {
        this.open -= 1;
      });
    return {
      stream: dump.stream(),
      proof: dump.proof,
      format: 'scripted',
      extension: '.txt',
      expectedBytes: script.bytes,
      version: '1',
    };
  }

  /** What a database dumps, for comparison. */
  static contentOf(name: string, bytes: number): Buffer {
    return Buffer.alloc(bytes, sqlText(Math.min(bytes, 999_983), name.length));
  }
}

/** One dump under way; over when its proof has settled, as it is for a driver's child process. */
class ScriptedDump {
  readonly proof: Promise<DumpProof>;
  readonly #script: Script;
  readonly #content: Buffer;
  readonly #signal: AbortSignal;
  readonly #resolve: (proof: DumpProof) => void;
  readonly #reject: (error: unknown) => void;

  constructor(script: Script, content: Buffer, signal: AbortSignal) {
    const { promise, resolve, reject } = Promise.withResolvers<DumpProof>();
    this.proof = promise;
    this.#resolve = resolve;
    this.#reject = reject;
    this.#script = script;
    this.#content = content;
    this.#signal = signal;
    hang(signal).catch(reject);
  }

  async *stream(): ByteStream & AsyncGenerator {
    const { hangsAfter, breaksAfter, diesAfter, name } = this.#script;
    const end = Math.min(diesAfter ?? this.#content.length, breaksAfter ?? this.#content.length);
    try {
      for (let at = 0; at < end; at += 65_536) {
        throwIfAborted(this.#signal);
        if (hangsAfter !== undefined && at >= hangsAfter) await hang(this.#signal);
        yield this.#content.subarray(at, Math.min(at + 65_536, end));
      }
      if (breaksAfter !== undefined) throw this.#failure(`${name} broke`);
      this.#finish();
    } finally {
      // Without effect when it is decided already.
      if (this.#script.proofHangs !== true)
        this.#reject(new BackupError('aborted', `The dump of ${name} was ended early`));
    }
  }

  #failure(message: string): BackupError {
    return this.#script.passing === undefined ? new BackupError('incomplete', message) : passing(message);
  }

  #finish(): void {
    const { diesAfter, proofFails, proofHangs, name, bytes } = this.#script;
    if (proofHangs) return;
    if (diesAfter !== undefined) this.#reject(this.#failure(`${name} died`));
    else if (proofFails) this.#reject(this.#failure(`${name} has no end marker`));
    else this.#resolve({ statement: 'all bytes', facts: { bytes }, warnings: [] });
  }
}

/** The script of a dump that fails in such a way. */
function afflicted(script: Script, fault: 'break' | 'die' | 'proof' | undefined): Script {
  const { passing: _, ...healthy } = script;
  if (fault === undefined) return healthy;
  const half = Math.floor(script.bytes / 2);
  return {
    ...script,
    ...(fault === 'break' ? { breaksAfter: half } : {}),
    ...(fault === 'die' ? { diesAfter: half } : {}),
    ...(fault === 'proof' ? { proofFails: true } : {}),
  };
}

function passing(message: string): BackupError {
  return new BackupError('unavailable', message, { transient: true });
}

function hang(signal: AbortSignal): Promise<never> {
  return new Promise((_, reject) => {
    throwIfAborted(signal);
    signal.addEventListener('abort', () => reject(signal.reason), { once: true });
  });
}
