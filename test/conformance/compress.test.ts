import { EMPTY_KEY_RING } from '../../lib/keys/keys.ts';
import { createChecksum } from '../../lib/transforms/checksum.ts';
import { createCompress } from '../../lib/transforms/compress.ts';
import { undoCommand, undoStep } from '../../lib/transforms/inverse.ts';
import type { StepRecord } from '../../lib/transforms/records.ts';
import type { Transform, UndoCommand } from '../../lib/transforms/transform.ts';
import { type TransformUnderTest, transformConformance } from './transform.suite.ts';

function subject(
  name: string,
  create: () => Transform,
  damage: TransformUnderTest['damage'],
  cases?: number,
): TransformUnderTest {
  return {
    name,
    create,
    invert: (record, input, signal) => undoStep(record, input, { keys: EMPTY_KEY_RING, signal }),
    damage,
    ...(cases === undefined ? {} : { cases }),
  };
}

function withTool(under: TransformUnderTest): TransformUnderTest {
  return { ...under, undo: requireUndo };
}

function requireUndo(record: StepRecord): UndoCommand {
  const undo = undoCommand(record);
  if (undo === undefined) throw new Error('A compression must be undone by a standard tool');
  return undo;
}

const zstd = () => createCompress({ algorithm: 'zstd' });
const gzip = () => createCompress({ algorithm: 'gzip' });
const brotli = () => createCompress({ algorithm: 'brotli' });

transformConformance(withTool(subject('compress with zstd', zstd, 'detected')));
transformConformance(
  withTool({ ...subject('compress with gzip', gzip, 'detected', 20), slowForNoise: true }),
);
transformConformance(withTool(subject('compress with brotli', brotli, 'needs-hash', 20)));
transformConformance(
  withTool(
    subject(
      'compress with zstd level 12',
      () => createCompress({ algorithm: 'zstd', level: 12 }),
      'detected',
      5,
    ),
  ),
);

transformConformance(
  withTool(
    subject(
      'compress with zstd, stable for rsync',
      () => createCompress({ algorithm: 'zstd', rsyncable: true }),
      'detected',
      20,
    ),
  ),
);
transformConformance(
  withTool({
    ...subject(
      'compress with gzip, stable for rsync',
      () => createCompress({ algorithm: 'gzip', rsyncable: true }),
      'detected',
      10,
    ),
    slowForNoise: true,
  }),
);

for (const algorithm of ['sha256', 'sha512', 'blake2b512'] as const) {
  transformConformance(subject(`checksum ${algorithm}`, () => createChecksum({ algorithm }), 'detected', 20));
}
