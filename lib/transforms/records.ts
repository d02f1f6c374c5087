import { z } from 'zod';

/**
 * What the manifest remembers of each step, in the order in which it was applied. Restore undoes steps
 * from these records alone, never from node settings. A field here is forever.
 */
export const compressRecord = z.object({
  kind: z.literal('compress'),
  algorithm: z.enum(['zstd', 'gzip', 'brotli']),
  level: z.number().int(),
});

export const encryptRecord = z.object({
  kind: z.literal('encrypt'),
  format: z.enum(['dbk', 'age']),
  /** How the file's data key is wrapped; the file's own header is authoritative. */
  key: z.discriminatedUnion('type', [
    z.object({ type: z.literal('vault'), id: z.string(), version: z.number().int().positive() }),
    z.object({ type: z.literal('passphrase') }),
    z.object({ type: z.literal('age'), recipients: z.array(z.string()).min(1) }),
  ]),
});

export const checksumRecord = z.object({
  kind: z.literal('checksum'),
  algorithm: z.enum(['sha256', 'sha512', 'blake2b512']),
  /** Digest of the bytes that passed this point, lower-case hex. */
  digest: z.string().regex(/^[0-9a-f]+$/),
});

export const stepRecord = z.discriminatedUnion('kind', [compressRecord, encryptRecord, checksumRecord]);

export type CompressRecord = z.infer<typeof compressRecord>;
export type EncryptRecord = z.infer<typeof encryptRecord>;
export type ChecksumRecord = z.infer<typeof checksumRecord>;
export type StepRecord = z.infer<typeof stepRecord>;
