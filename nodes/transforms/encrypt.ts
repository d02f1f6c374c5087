import { z } from 'zod';
import { createEncrypt } from '../../lib/transforms/encrypt.ts';
import { defineNode } from '../define-node.ts';
import { configNode, nodeName } from '../forms/common-fields.ts';
import { KEY } from '../services.ts';
import { passTransform } from './pass-transform.ts';

/** Encrypts what passes, each file with a data key of its own. */
export const encryptNode = defineNode({
  type: 'dbackup-encrypt',
  set: 'transforms',
  role: 'transform',
  step: 'encrypt',
  icon: 'dbackup-encrypt.svg',
  inputs: 1,
  outputs: 1,
  schemaVersion: 1,
  schema: z.object({
    name: nodeName,
    key: configNode('dbackup-key', 'fa-key'),
    format: z.enum(['dbk', 'age']).default('dbk').meta({ icon: 'fa-file-o' }),
  }),
  setup(context) {
    const { key, format } = context.settings;
    return {
      async onInput(message, deliver) {
        const transform = createEncrypt(await context.use(KEY, key).encryptionKey(), { format });
        passTransform(context, transform, { format }, message, deliver);
      },
    };
  },
});
