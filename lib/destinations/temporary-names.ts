import { createHash, randomBytes } from 'node:crypto';

/** Bytes of the object's own name that a temporary name repeats, for the person who finds one. */
const READABLE_BYTES = 180;
const TEMPORARY = /^\..+\.[0-9a-f]{16}\.partial$/s;

/** Temporary files that this process is writing now: a sweep leaves them alone, whatever their age. */
const active = new Set<string>();

/** A fresh hidden name for the bytes of an object that is not committed: `.<name>.<random>.partial`. */
export function temporaryName(name: string): string {
  return `.${readable(name)}.${randomBytes(8).toString('hex')}.partial`;
}

/** The hidden name, one per object, that is held while an object is renamed without hard links. */
export function commitLockName(name: string): string {
  const digest = createHash('sha256').update(name).digest('hex');
  return `.${readable(name)}.${digest.slice(0, 16)}.partial`;
}

/** True for a name that one of the two above made. */
export function isTemporaryName(name: string): boolean {
  return TEMPORARY.test(name);
}

export function markActive(temporary: string): void {
  active.add(temporary);
}

export function markDone(temporary: string): void {
  active.delete(temporary);
}

export function isActive(temporary: string): boolean {
  return active.has(temporary);
}

function readable(name: string): string {
  const bytes = Buffer.from(name);
  if (bytes.length <= READABLE_BYTES) return name;
  // A character that was cut in half decodes as U+FFFD: leave it out.
  return bytes
    .subarray(0, READABLE_BYTES)
    .toString()
    .replace(/\ufffd+$/, '');
}
