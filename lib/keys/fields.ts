import { z } from 'zod';

/** Id of a vault key: printable, short, safe in messages and file names. */
export const KEY_ID = /^[A-Za-z0-9._-]{1,64}$/;

/** Base64 of exactly that many bytes. */
export function base64Bytes(bytes: number) {
  return z.base64().refine((text) => Buffer.from(text, 'base64').length === bytes, `not ${bytes} bytes`);
}
