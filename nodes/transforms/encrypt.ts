import { z } from 'zod';
import type { EncryptionKey } from '../../lib/keys/keys.ts';
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
    key: configNode(['dbackup-key'], 'fa-key'),
    format: z.enum(['auto', 'dbk', 'age']).default('auto').meta({ icon: 'fa-file-o' }),
  }),
  setup(context) {
    const { settings } = context;
    return {
      async onInput(message, deliver) {
        const key = await context.use(KEY, settings.key).encryptionKey();
        const format = settings.format === 'auto' ? usualFormat(key) : settings.format;
        passTransform(context, createEncrypt(key, { format }), { format }, message, deliver);
      },
    };
  },
});

/** Vault keys go with dbk alone and public keys with age alone; for a passphrase dbk is the faster one. */
function usualFormat({ type }: EncryptionKey): 'dbk' | 'age' {
  return type === 'age' ? 'age' : 'dbk';
}
