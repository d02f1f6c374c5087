import type { ByteStream } from '../../lib/bytes/stream.ts';
import { BackupError, throwIfAborted } from '../../lib/errors.ts';
import type { DatabaseInfo, Dump, SourceDriver } from '../../lib/sources/driver.ts';
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
  readonly refusesToStart?: boolean;
}

/** A source of deterministic text with faults on demand, for tests of the engine alone. */
export class ScriptedSource implements SourceDriver {
  readonly kind = 'scripted';
  /** How often each database was dumped. */
  readonly dumps = new Map<string, number>();
  /** Dumps that are under way: zero when nothing leaks. */
  open = 0;
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

  async listDatabases(): Promise<DatabaseInfo[]> {
    return this.#scripts.map(({ name, bytes }) => ({ id: name, name, bytes }));
  }

  async dump(database: DatabaseInfo, signal: AbortSignal): Promise<Dump> {
    const script = this.#scripts.find(({ name }) => name === database.id);
    if (script === undefined) throw new BackupError('not-found', `There is no ${database.id}`);
    if (script.refusesToStart) throw new BackupError('unavailable', `${script.name} refuses to start`);
    this.dumps.set(script.name, (this.dumps.get(script.name) ?? 0) + 1);
    const proof = Promise.withResolvers<{
      statement: string;
      facts: Record<string, number>;
      warnings: string[];
    }>();
    proof.promise.catch(() => undefined);
    return {
      stream: this.#stream(script, signal, (failure) => {
        if (failure !== undefined) proof.reject(failure);
        else if (script.proofFails)
          proof.reject(new BackupError('incomplete', `${script.name} has no end marker`));
        else proof.resolve({ statement: 'all bytes', facts: { bytes: script.bytes }, warnings: [] });
      }),
      proof: proof.promise,
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

  async *#stream(
    script: Script,
    signal: AbortSignal,
    settle: (failure?: Error) => void,
  ): ByteStream & AsyncGenerator {
    const content = this.#contents.get(script.name) ?? Buffer.alloc(0);
    const end = Math.min(script.diesAfter ?? content.length, script.breaksAfter ?? content.length);
    let failure: Error | undefined = new BackupError('aborted', `The dump of ${script.name} was ended early`);
    this.open += 1;
    try {
      for (let at = 0; at < end; at += 65_536) {
        throwIfAborted(signal);
        if (script.hangsAfter !== undefined && at >= script.hangsAfter) await hang(signal);
        yield content.subarray(at, Math.min(at + 65_536, end));
      }
      if (script.breaksAfter !== undefined) throw new BackupError('incomplete', `${script.name} broke`);
      failure =
        script.diesAfter === undefined ? undefined : new BackupError('incomplete', `${script.name} died`);
    } finally {
      this.open -= 1;
      settle(failure);
    }
  }
}

function hang(signal: AbortSignal): Promise<never> {
  return new Promise((_, reject) =>
    signal.addEventListener('abort', () => reject(signal.reason), { once: true }),
  );
}
