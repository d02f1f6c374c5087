import { DigestTap } from '../../lib/bytes/digest.ts';
import type { ByteStream } from '../../lib/bytes/stream.ts';
import type { Transform } from '../../lib/transforms/transform.ts';

export type TransformFault =
  | 'opens-not' // throws when it is opened
  | 'fails' // throws after some bytes, and ends its input
  | 'dies' // throws after some bytes, and leaves its input as it is
  | 'stops' // ends after some bytes, as if that were all
  | 'no-record'; // does not tell what it did

/** A checksum that goes wrong after that many bytes. */
export function faultyTransform(fault: TransformFault, afterBytes: number): Transform {
  return {
    kind: 'checksum',
    extension: '',
    forward(input) {
      if (fault === 'opens-not') throw new Error('The transform does not open');
      const tap = new DigestTap(input);
      return {
        output: fault === 'dies' ? dying(tap, afterBytes) : faulty(tap, fault, afterBytes),
        record() {
          if (fault === 'no-record') throw new Error('The transform has no record');
          return { kind: 'checksum', algorithm: 'sha256', digest: tap.sha256() };
        },
      };
    },
  };
}

async function* faulty(
  input: ByteStream,
  fault: TransformFault,
  afterBytes: number,
): AsyncGenerator<Buffer, undefined> {
  let passed = 0;
  for await (const chunk of input) {
    passed += chunk.length;
    if (passed > afterBytes && fault === 'fails') throw new Error('The transform failed');
    if (passed > afterBytes && fault === 'stops') return;
    yield chunk;
  }
}

/** Without `for await`, which would end the input. */
async function* dying(input: ByteStream, afterBytes: number): AsyncGenerator<Buffer, undefined> {
  const iterator = input[Symbol.asyncIterator]();
  let passed = 0;
  for (;;) {
    const next = await iterator.next();
    if (next.done === true) return;
    passed += next.value.length;
    if (passed > afterBytes) throw new Error('The transform died');
    yield next.value;
  }
}
