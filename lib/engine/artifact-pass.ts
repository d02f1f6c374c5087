import { type Extent, extentOf } from '../backupset/extent.ts';
import { DigestTap } from '../bytes/digest.ts';
import { passReleases } from '../bytes/release.ts';
import type { ByteStream } from '../bytes/stream.ts';
import { BackupError, throwIfAborted, toBackupError } from '../errors.ts';
import type { TransformBinding } from '../plan/bindings.ts';
import type { PlanBranch } from '../plan/plan-tree.ts';
import type { DumpProof } from '../sources/driver.ts';
import type { StepRecord } from '../transforms/records.ts';
import { Fanout, type FanoutOutput } from './fanout.ts';
import type { OpenDump } from './open-dump.ts';
import type { SetFolder, StagedFile } from './set-folder.ts';
import { openStep } from './step-pass.ts';

/** What a destination got of one dump: transferred and proven, but not visible yet. */
export interface Delivery {
  readonly destination: string;
  readonly file: string;
  readonly steps: readonly StepRecord[];
  readonly stored: Extent;
  readonly staged: StagedFile;
}

export interface Lost {
  readonly destination: string;
  readonly error: BackupError;
}

export interface PassResult {
  readonly raw: Extent;
  /** Undefined when no destination is left that it would matter to. */
  readonly proof: DumpProof | undefined;
  readonly deliveries: readonly Delivery[];
  /** Destinations that dropped out, and why. */
  readonly lost: readonly Lost[];
}

export interface PassRequest {
  readonly open: OpenDump;
  /** File name before any step: `shop.sqlite`. */
  readonly rawFile: string;
  /** Tree of the destinations that still take part. */
  readonly root: PlanBranch;
  readonly transforms: ReadonlyMap<string, TransformBinding>;
  readonly signal: AbortSignal;
  folderOf(destination: string): SetFolder;
  onRawBytes(total: number): void;
  onStoredBytes(destination: string, total: number): void;
}

/**
 * Runs one dump through the tree in one pass, up to the gate: every delivery of the result belongs to a
 * dump whose proof of completeness holds (invariant 1). The caller commits or aborts each.
 * @throws BackupError when the dump itself failed or was aborted; every delivery is aborted then
 */
export async function passArtifact(request: PassRequest): Promise<PassResult> {
  return new ArtifactPass(request).run();
}

/** A stream of the tree whose own failure is remembered, so that it is not blamed on a destination. */
interface Origin {
  failure?: unknown;
  readonly parent?: Origin;
}

/** Where the wiring stands: what a file is called here and what has been done to it. */
interface Place {
  readonly file: string;
  readonly origin: Origin;
  readonly records: readonly (() => StepRecord)[];
  /** Nothing on the way changes the size by much, so that the source's size holds for free-space checks. */
  readonly keepsSize: boolean;
  /** The last fork's output, which the bytes come through. */
  readonly upstream?: FanoutOutput;
}

class ArtifactPass {
  readonly #request: PassRequest;
  readonly #flows: (() => Promise<void>)[] = [];
  /** One for each destination; none rejects. */
  readonly #outcomes: Promise<Delivery | Lost>[] = [];
  readonly #source: Origin = {};

  constructor(request: PassRequest) {
    this.#request = request;
  }

  async run(): Promise<PassResult> {
    const { open, rawFile, root, onRawBytes } = this.#request;
    const raw = new DigestTap(remember(open.dump.stream, this.#source), onRawBytes);
    this.#wire(root, raw, raw, { file: rawFile, origin: this.#source, records: [], keepsSize: true });
    await Promise.all(this.#flows.map((flow) => flow()));
    const deliveries: Delivery[] = [];
    const lost: Lost[] = [];
    for (const outcome of await Promise.all(this.#outcomes)) {
      if ('error' in outcome) lost.push(outcome);
      else deliveries.push(outcome);
    }
    try {
      const proof = await this.#gate(deliveries);
      return { raw: extentOf(raw), proof, deliveries, lost };
    } catch (error) {
      await Promise.all(deliveries.map(({ staged }) => staged.abort()));
      throw toBackupError(error);
    }
  }

  async #gate(deliveries: readonly Delivery[]): Promise<DumpProof | undefined> {
    const { open, signal } = this.#request;
    throwIfAborted(signal);
    if (this.#source.failure !== undefined) throw await open.failure(this.#source.failure);
    return deliveries.length === 0 ? undefined : open.proven();
  }

  #wire(branch: PlanBranch, input: ByteStream, tap: DigestTap | undefined, place: Place): void {
    const tapped = tap ?? (branch.destinations.length > 0 ? new DigestTap(input) : undefined);
    const stream = tapped ?? input;
    const [only] = branch.branches;
    if (branch.destinations.length === 0 && branch.branches.length === 1 && only !== undefined) {
      this.#wireStep(only, stream, place);
      return;
    }
    const count = branch.destinations.length + branch.branches.length;
    const fanout = new Fanout(stream, count, this.#request.signal);
    this.#flows.push(async () => {
      await fanout.run();
      // However it ended: a transform that died without ending its input must not hold up the others.
      place.upstream?.drop();
    });
    const outputs = fanout.outputs.values();
    for (const destination of branch.destinations) {
      const output = outputs.next().value;
      if (output !== undefined && tapped !== undefined)
        this.#wireDestination(destination, output, tapped, place);
    }
    for (const child of branch.branches) {
      const output = outputs.next().value;
      if (output !== undefined) this.#wireStep(child, output, { ...place, upstream: output });
    }
  }

  #wireStep(branch: PlanBranch, input: ByteStream, place: Place): void {
    const { transforms, signal } = this.#request;
    if (branch.step === undefined) throw new BackupError('internal', 'A branch of the plan has no step');
    const origin: Origin = { parent: place.origin };
    const pass = openStep(branch.step, transforms, input, signal);
    this.#wire(branch, remember(pass.output, origin), undefined, {
      ...place,
      file: place.file + pass.extension,
      origin,
      records: [...place.records, () => pass.record()],
      keepsSize: place.keepsSize && pass.keepsSize,
    });
  }

  #wireDestination(destination: string, output: FanoutOutput, tap: DigestTap, place: Place): void {
    let blamed: unknown;
    const onLost = () => {
      // Now, before giving up the output makes the streams above it fail for that reason alone.
      blamed = failureOf(place.origin);
      output.drop();
    };
    const delivered = this.#deliver(destination, output, tap, place, onLost);
    this.#outcomes.push(
      delivered.catch((error: unknown) => ({ destination, error: toBackupError(blamed ?? error) })),
    );
  }

  async #deliver(
    destination: string,
    output: FanoutOutput,
    tap: DigestTap,
    { file, records, keepsSize }: Place,
    onLost: () => void,
  ): Promise<Delivery> {
    const { open, folderOf, onStoredBytes } = this.#request;
    const staged = await folderOf(destination).stage(file, output, {
      expectedBytes: keepsSize ? open.dump.expectedBytes : undefined,
      onBytes: (total) => onStoredBytes(destination, total),
      onLost,
    });
    try {
      const steps = records.map((record) => record());
      if (staged.bytes === tap.bytes) return { destination, file, steps, stored: extentOf(tap), staged };
      throw new BackupError(
        'internal',
        `${staged.bytes} bytes of ${file} were handed over, not ${tap.bytes}`,
      );
    } catch (error) {
      await staged.abort();
      throw error;
    }
  }
}

function remember(stream: ByteStream, origin: Origin): ByteStream {
  async function* observed(): AsyncGenerator<Buffer, undefined> {
    try {
      yield* stream;
    } catch (error) {
      origin.failure = error;
      throw error;
    }
  }
  return passReleases(stream, observed());
}

function failureOf(origin: Origin | undefined): unknown {
  if (origin === undefined) return undefined;
  return failureOf(origin.parent) ?? origin.failure;
}
