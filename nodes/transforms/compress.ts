import { z } from 'zod';
import { createCompress } from '../../lib/transforms/compress.ts';
import { defineNode } from '../define-node.ts';
import { nodeName } from '../forms/common-fields.ts';
import { passTransform } from './pass-transform.ts';

function level(min: number, max: number, usual: number) {
  const range = { icon: 'fa-sliders', placeholder: String(usual) };
  return z.number().int().min(min).max(max).default(usual).meta(range);
}

/** Compresses the dump. */
export const compressNode = defineNode({
  type: 'dbackup-compress',
  set: 'transforms',
  role: 'transform',
  step: 'compress',
  icon: 'dbackup-compress.svg',
  inputs: 1,
  outputs: 1,
  schemaVersion: 1,
  schema: z.discriminatedUnion('algorithm', [
    z.object({
      name: nodeName,
      algorithm: z.literal('zstd').meta({ icon: 'fa-compress' }),
      level: level(1, 22, 3),
    }),
    z.object({ name: nodeName, algorithm: z.literal('gzip'), level: level(1, 9, 6) }),
    z.object({ name: nodeName, algorithm: z.literal('brotli'), level: level(0, 11, 4) }),
  ]),
  setup(context) {
    const { algorithm, level: chosen } = context.settings;
    const options = { algorithm, level: chosen };
    const transform = createCompress(options);
    return {
      onInput: (message, deliver) => passTransform(context, transform, options, message, deliver),
    };
  },
});
