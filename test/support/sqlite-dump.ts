import { createWriteStream } from 'node:fs';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import type { DatabaseInfo, Dump, DumpProof } from '../../lib/sources/driver.ts';
import { createSqliteSource } from '../../lib/sources/sqlite/sqlite-source.ts';
import type { SqliteFolder } from './sqlite-folder.ts';

export type SqliteSettings = Partial<Omit<Parameters<typeof createSqliteSource>[0], 'files'>>;

/** A signal that nobody aborts. */
export const RUNNING = new AbortController().signal;

/** Starts a dump of one file. */
export async function startDump(
  folder: SqliteFolder,
  path: string,
  settings: SqliteSettings = {},
  signal = RUNNING,
): Promise<Dump> {
  const source = createSqliteSource({ files: [path], spoolDirectory: folder.spool, ...settings });
  const database: DatabaseInfo = { id: path, name: 'database' };
  return await source.dump(database, signal);
}

/** Dumps a file into another one and returns the proof. */
export async function dumpTo(
  copy: string,
  folder: SqliteFolder,
  path: string,
  settings: SqliteSettings = {},
): Promise<DumpProof> {
  const dump = await startDump(folder, path, settings);
  await writeTo(copy, dump);
  return await dump.proof;
}

export async function writeTo(copy: string, dump: Dump): Promise<void> {
  await pipeline(Readable.from(dump.stream, { objectMode: true }), createWriteStream(copy));
}

/** Reads a dump to its end and returns how many bytes came. */
export async function drain(dump: Dump): Promise<number> {
  let bytes = 0;
  for await (const chunk of dump.stream) bytes += chunk.length;
  return bytes;
}
