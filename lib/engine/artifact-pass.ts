import { DigestTap } from '../bytes/digest.ts';
import type { ByteStream } from '../bytes/stream.ts';
import type { PendingObject } from '../destinations/driver.ts';
import { abortError, BackupError, toBackupError } from '../errors.ts';
import type { TransformBinding } from '../plan/bindings.ts';
import type { PlanBranch } from '../plan/plan-tree.ts';
import type { Dump, DumpProof } from '../sources/driver.ts';
import type { StepRecord } from '../transforms/records.ts';
import { Fanout, type FanoutOutput } from './fanout.ts';

/** Bytes and digest of a file. */
export interface Extent {
  readonly bytes: number;
  readonly sha256: string;
}

/** What a destination got of one dump: transferred and proven, but not visible yet. */
export interface Delivery {
  readonly destination: string;
  readonly file: string;
  readonly steps: readonly StepRecord[];
  readonly stored: Extent;
  readonly pending: PendingObject;
}

export interface PassResult {
  readonly raw: Extent;
  readonly proof: DumpProof;
  readonly deliveries: readonly Delivery[];
  /** Destinations that dropped out, and why. */
  readonly lost: readonly { readonly destination: string; readonly error: BackupError }[];
}

export interface PassRequest {
  readonly dump: Dump;
  /** File name before any step: `shop.sqlite`. */
  readonly rawFile: string;
  /** Tree of the destinations that still take part. */
  readonly root: PlanBranch;
  readonly transforms: ReadonlyMap<string, TransformBinding>;
  readonly signal: AbortSignal;
  /** Starts the transfer of a stream to a destination. */
  deliver(
    destination: string,
    file: string,
    input: ByteStream,
    expectedBytes: number | undefined,
  ): Promise<PendingObject>;
  onRawBytes(total: number): void;
}

/**
 * Runs one dump through the tree in one pass, up to the gate: every delivery of the result belongs to a
 * dump whose proof of completeness holds (invariant 1). The caller commits or aborts each.
 * @throws BackupError when the dump itself failed or was aborted; every delivery is aborted then
 */
export async function passArtifact(request: PassRequest): Promise<PassResult> {
  const pass = new ArtifactPass(request);
  return pass.run();
}

/** A stream of the tree whose own failure is remembered, so that it is not blamed on a destination. */
interface Origin {
  failure?: unknown;
  readonly parent?: Origin;
}

interface Leaf {
  readonly destination: string;
  readonly file: string;
  readonly origin: Origin;
  readonly tap: DigestTap;
  readonly records: readonly (() => StepRecord)[];
  readonly transferred: Promise<PendingObject>;
}

class ArtifactPass {
  readonly #request: PassRequest;
  readonly #fanouts: Fanout[] = [];
  readonly #leaves: Leaf[] = [];

  constructor(request: PassRequest) {
    this.#request = request;
  }

  async run(): Promise<PassResult> {
    const { dump, signal } = this.#request;
    // The proof is awaited at the gate; a rejection before that must not count as unhandled.
    dump.proof.catch(() => undefined);
    const source: Origin = {};
    const raw = new DigestTap(remember(dump.stream, source), this.#request.onRawBytes);
    this.#wire(this.#request.root, raw, raw, {
      file: this.#request.rawFile,
      origin: source,
      records: [],
      plain: true,
    });
    await Promise.all(this.#fanouts.map((fanout) => fanout.run()));
    const settled = await Promise.allSettled(this.#leaves.map((leaf) => leaf.transferred));
    const deliveries: Delivery[] = [];
    const lost: { destination: string; error: BackupError }[] = [];
    for (const [index, leaf] of this.#leaves.entries()) {
      const outcome = settled[index];
      if (outcome?.status === 'fulfilled') deliveries.push(this.#delivery(leaf, outcome.value));
      else
        lost.push({
          destination: leaf.destination,
          error: toBackupError(failureOf(leaf.origin) ?? outcome?.reason),
        });
    }
    try {
      if (signal.aborted) throw abortError(signal);
      if (source.failure !== undefined) throw await this.#dumpFailure(source.failure);
      if (deliveries.length === 0) return { raw: extentOf(raw), proof: NO_PROOF, deliveries, lost };
      const proof = await dump.proof;
      return { raw: extentOf(raw), proof, deliveries, lost };
    } catch (error) {
      await Promise.all(deliveries.map((delivery) => delivery.pending.abort().catch(() => undefined)));
      throw toBackupError(error);
    }
  }

  #wire(branch: PlanBranch, input: ByteStream, tap: DigestTap | undefined, at: Place): void {
    const tapped = tap ?? (branch.destinations.length > 0 ? new DigestTap(input) : undefined);
    const stream = tapped ?? input;
    const [only] = branch.branches;
    if (branch.destinations.length === 0 && branch.branches.length === 1 && only !== undefined) {
      this.#wireStep(only, stream, at);
      return;
    }
    const fanout = new Fanout(
      stream,
      branch.destinations.length + branch.branches.length,
      this.#request.signal,
    );
    this.#fanouts.push(fanout);
    const outputs = fanout.outputs.values();
    for (const destination of branch.destinations) {
      const output = outputs.next().value;
      if (output !== undefined && tapped !== undefined)
        this.#wireDestination(destination, output, tapped, at);
    }
    for (const child of branch.branches) {
      const output = outputs.next().value;
      if (output !== undefined) this.#wireStep(child, output, at);
    }
  }

  #wireStep(branch: PlanBranch, input: ByteStream, at: Place): void {
    const binding = branch.step === undefined ? undefined : this.#request.transforms.get(branch.step.node);
    if (binding === undefined)
      throw new BackupError('internal', 'A step of the plan has no transform behind it');
    const { transform } = binding;
    const origin: Origin = { parent: at.origin };
    const forward = transform.forward(input, this.#request.signal);
    this.#wire(branch, remember(forward.output, origin), undefined, {
      file: at.file + transform.extension,
      origin,
      records: [...at.records, () => forward.record()],
      plain: at.plain && transform.kind !== 'compress',
    });
  }

  #wireDestination(destination: string, output: FanoutOutput, tap: DigestTap, at: Place): void {
    const expectedBytes = at.plain ? this.#request.dump.expectedBytes : undefined;
    const transferred = this.#request
      .deliver(destination, at.file, output, expectedBytes)
      .catch((error: unknown) => {
        output.drop();
        throw error;
      });
    transferred.catch(() => undefined);
    this.#leaves.push({
      destination,
      file: at.file,
      origin: at.origin,
      tap,
      records: at.records,
      transferred,
    });
  }

  #delivery(leaf: Leaf, pending: PendingObject): Delivery {
    return {
      destination: leaf.destination,
      file: leaf.file,
      steps: leaf.records.map((record) => record()),
      stored: extentOf(leaf.tap),
      pending,
    };
  }

  /** The tool's own account of its failure says more than the broken stream. */
  async #dumpFailure(streamFailure: unknown): Promise<unknown> {
    return this.#request.dump.proof.then(
      () => streamFailure,
      (proofFailure: unknown) => (streamFailure instanceof BackupError ? streamFailure : proofFailure),
    );
  }
}

/** Where the wiring stands: what a file is called here and what has been done to it. */
interface Place {
  readonly file: string;
  readonly origin: Origin;
  readonly records: readonly (() => StepRecord)[];
  /** Nothing on the way changes the size by much, so that the source's size holds for free-space checks. */
  readonly plain: boolean;
}

const NO_PROOF: DumpProof = { statement: 'not proven: no destination was left', facts: {}, warnings: [] };

async function* remember(stream: ByteStream, origin: Origin): AsyncGenerator<Buffer, undefined> {
  try {
    yield* stream;
  } catch (error) {
    origin.failure = error;
    throw error;
  }
}

function failureOf(origin: Origin | undefined): unknown {
  if (origin === undefined) return undefined;
  return failureOf(origin.parent) ?? origin.failure;
}

function extentOf(tap: DigestTap): Extent {
  return { bytes: tap.bytes, sha256: tap.sha256() };
}
