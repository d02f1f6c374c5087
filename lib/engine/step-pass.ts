import type { ByteStream } from '../bytes/stream.ts';
import { BackupError } from '../errors.ts';
import type { TransformBinding } from '../plan/bindings.ts';
import type { TransformStep } from '../plan/recipe.ts';
import type { StepRecord } from '../transforms/records.ts';

/** One step of the plan, opened over one stream. */
export interface StepPass {
  readonly output: ByteStream;
  /** Appended to the file's name. */
  readonly extension: string;
  /** The bytes that come out are about as many as those that go in. */
  readonly keepsSize: boolean;
  /** Valid once `output` has ended without an error. */
  record(): StepRecord;
}

/**
 * Opens a step over a stream. Its output ends without an error only when the transform has read its whole
 * input; an error while opening comes as an error of the output, so that it concerns no other branch.
 */
export function openStep(
  step: TransformStep,
  transforms: ReadonlyMap<string, TransformBinding>,
  input: ByteStream,
  signal: AbortSignal,
): StepPass {
  const watched = new WatchedInput(input);
  try {
    const binding = transforms.get(step.node);
    if (binding === undefined) throw new BackupError('internal', `The step ${step.node} was never bound`);
    const { transform, label } = binding;
    const pass = transform.forward(watched, signal);
    return {
      output: whole(pass.output, watched, label),
      extension: transform.extension,
      keepsSize: transform.kind !== 'compress',
      record: () => pass.record(),
    };
  } catch (error) {
    const fail = () => {
      throw error;
    };
    const output = { [Symbol.asyncIterator]: () => ({ next: async () => fail() }) };
    return { output, extension: '', keepsSize: false, record: fail };
  }
}

/** Remembers whether a stream was read to its end, and ends it for those who forget to. Iterable once. */
class WatchedInput implements ByteStream {
  ended = false;
  readonly #input: ByteStream;
  readonly #reading: AsyncGenerator<Buffer, undefined>;

  constructor(input: ByteStream) {
    this.#input = input;
    this.#reading = this.#read(input);
  }

  release(chunk: Buffer): void {
    this.#input.release?.(chunk);
  }

  [Symbol.asyncIterator](): AsyncGenerator<Buffer, undefined> {
    return this.#reading;
  }

  /** Not awaited: what it waits for may hang. */
  end(): void {
    this.#reading.return(undefined).catch(() => undefined);
  }

  async *#read(input: ByteStream): AsyncGenerator<Buffer, undefined> {
    yield* input;
    this.ended = true;
  }
}

async function* whole(
  output: ByteStream,
  input: WatchedInput,
  label: string,
): AsyncGenerator<Buffer, undefined> {
  try {
    yield* output;
    if (!input.ended) {
      throw new BackupError('internal', `${label} ended before it had read all that it was given`);
    }
  } finally {
    input.end();
  }
}
