import { z } from 'zod';
import { nodeName } from '../forms/common-fields.ts';

const vaultKey = z.object({
  name: nodeName,
  kind: z.literal('vault').meta({ icon: 'fa-key' }),
  keyName: z.string().default('main').meta({
    icon: 'fa-tag',
    placeholder: 'main',
    pattern: String.raw`^[\p{L}\p{N}][\p{L}\p{N} ._\-]{0,63}$`,
  }),
  masterSecret: z.string().min(12).optional().meta({ icon: 'fa-lock', secret: true }),
});

const passphrase = z.object({
  name: nodeName,
  kind: z.literal('passphrase'),
  passphrase: z.string().min(12).meta({ icon: 'fa-lock', secret: true }),
});

const age = z.object({
  name: nodeName,
  kind: z.literal('age'),
  recipients: z
    .array(z.string().regex(/^age1[0-9a-z]+$/))
    .min(1)
    .meta({ icon: 'fa-users', placeholder: 'age1…' }),
  identity: z
    .string()
    .regex(/^(AGE-SECRET-KEY-|AGE-PLUGIN-)/)
    .optional()
    .meta({ icon: 'fa-user-secret', secret: true }),
});

/** Who can open what is encrypted with this key, in one of three ways. */
export const keySettings = z.discriminatedUnion('kind', [vaultKey, passphrase, age]);

export type KeySettings = z.output<typeof keySettings>;

export type VaultKeySettings = z.output<typeof vaultKey>;
