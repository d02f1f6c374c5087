import { z } from 'zod';
import { COMPRESS_LEVELS, type CompressAlgorithm, createCompress } from '../../lib/transforms/compress.ts';
import { defineNode } from '../define-node.ts';
import { nodeName } from '../forms/common-fields.ts';
import { passTransform } from './pass-transform.ts';

/** What zstd and gzip can do for destinations that send differences only. */
const forRsync = {
  rsyncable: z.boolean().default(false).meta({ icon: 'fa-refresh', section: 'advanced' }),
};

/** The same fields for each algorithm, with its own range of levels. */
function variant<Algorithm extends CompressAlgorithm>(algorithm: Algorithm) {
  const { min, max, default: usual } = COMPRESS_LEVELS[algorithm];
  return z.object({
    name: nodeName,
    algorithm: z.literal(algorithm).meta({ icon: 'fa-compress' }),
    level: z.number().int().min(min).max(max).default(usual).meta({ icon: 'fa-sliders' }),
  });
}

/** Compresses the dump. */
export const compressNode = defineNode({
  type: 'dbackup-compress',
  set: 'transforms',
  role: 'transform',
  step: 'compress',
  icon: 'dbackup-compress.svg',
  labelFrom: ['algorithm'],
  inputs: 1,
  outputs: 1,
  schemaVersion: 1,
  schema: z.discriminatedUnion('algorithm', [
    variant('zstd').extend(forRsync),
    variant('gzip').extend(forRsync),
    variant('brotli'),
  ]),
  setup(context) {
    const { name: _name, ...options } = context.settings;
    const transform = createCompress(options);
    return {
      onInput: (message, deliver) => passTransform(context, transform, options, message, deliver),
    };
  },
});
