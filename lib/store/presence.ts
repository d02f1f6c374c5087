import { mkdirSync, readdirSync, rmSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { tryFileLock } from '../file-lock.ts';

/** How one process tells the others that it lives: it holds the lock of a file of its own. */
export interface Presence {
  /** Gives the lock up and removes its file, which is swept later when that fails. Never throws. */
  leave(): void;
}

/** A file without an instance is a process that died while it started; it is given this long, in ms. */
const STARTING_MS = 60_000;

export function announcePresence(dataDir: string, instance: string): Presence {
  mkdirSync(folderOf(dataDir), { recursive: true, mode: 0o700 });
  const file = fileOf(dataDir, instance);
  const lock = tryFileLock(file);
  if (lock === undefined) throw new Error(`${file} is locked by another process`);
  return {
    leave() {
      lock.release();
      try {
        rmSync(file, { force: true });
      } catch {
        return;
      }
    },
  };
}

/** True when the process that announced this instance is still there. */
export function isPresent(dataDir: string, instance: string): boolean {
  const file = fileOf(dataDir, instance);
  if (statSync(file, { throwIfNoEntry: false }) === undefined) return false;
  const lock = tryFileLock(file);
  lock?.release();
  return lock === undefined;
}

/** Removes the files of processes that are gone. */
export function sweepPresence(dataDir: string, known: ReadonlySet<string>): void {
  for (const name of readdirSync(folderOf(dataDir))) {
    const instance = name.replace(/\.lock$/, '');
    if (instance === name || known.has(instance)) continue;
    const file = fileOf(dataDir, instance);
    const age = Date.now() - (statSync(file, { throwIfNoEntry: false })?.mtimeMs ?? Date.now());
    if (age > STARTING_MS && !isPresent(dataDir, instance)) rmSync(file, { force: true });
  }
}

function folderOf(dataDir: string): string {
  return join(dataDir, 'instances');
}

function fileOf(dataDir: string, instance: string): string {
  return join(folderOf(dataDir), `${instance}.lock`);
}
