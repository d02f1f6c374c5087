import { z } from 'zod';
import { createChecksum } from '../../lib/transforms/checksum.ts';
import { defineNode } from '../define-node.ts';
import { nodeName } from '../forms/common-fields.ts';
import { passTransform } from './pass-transform.ts';

/** A digest of the bytes that pass this point, written into the manifest and a checksum file. */
export const checksumNode = defineNode({
  type: 'dbackup-checksum',
  set: 'transforms',
  role: 'transform',
  step: 'checksum',
  icon: 'dbackup-checksum.svg',
  labelFrom: ['algorithm'],
  inputs: 1,
  outputs: 1,
  schemaVersion: 1,
  schema: z.object({
    name: nodeName,
    algorithm: z.enum(['sha256', 'sha512', 'blake2b512']).default('sha256').meta({ icon: 'fa-hashtag' }),
  }),
  setup(context) {
    const { algorithm } = context.settings;
    const transform = createChecksum({ algorithm });
    return {
      onInput: (message, deliver) => passTransform(context, transform, { algorithm }, message, deliver),
    };
  },
});
