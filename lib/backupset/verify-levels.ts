/**
 * How deep a verification looks, each deeper than the one before. `manifest`: the files are there and have their
 * sizes. `hash`: their bytes are read back and compared. `content`: they are also decrypted and decompressed, and
 * the raw bytes compared with those of the proven dump. `restore`: they are restored for a test, rows counted.
 */
export const VERIFY_LEVELS = ['manifest', 'hash', 'content', 'restore'] as const;
export type VerifyLevel = (typeof VERIFY_LEVELS)[number];

/** True when `level` looks at least as deep as the other. */
export function isAsDeep(level: VerifyLevel, other: VerifyLevel): boolean {
  return VERIFY_LEVELS.indexOf(level) >= VERIFY_LEVELS.indexOf(other);
}
