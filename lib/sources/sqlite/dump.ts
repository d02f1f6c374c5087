import { rm } from 'node:fs/promises';
import { BackupError, toBackupError } from '../../errors.ts';
import type { Dump, DumpProof } from '../driver.ts';
import { SqliteChild } from './child.ts';
import { Delivery } from './delivery.ts';
import type { DumpRequest, Inspection, ReadyReply } from './protocol.ts';

/** The format's name in manifests. */
export const SQLITE_FORMAT = 'sqlite3';

/**
 * Starts the dump of one database file in a child process.
 * @throws BackupError when it cannot start; the child and its files are gone by then
 */
export async function dumpSqlite(request: DumpRequest, signal: AbortSignal): Promise<Dump> {
  const child = new SqliteChild(request, request.file, signal);
  try {
    const ready = await child.expect('ready');
    const delivery = await Delivery.open(child, ready, request.file);
    const proof = prove(child, delivery, ready, request.spoolFolder);
    proof.catch(() => {});
    return {
      stream: delivery,
      proof,
      format: SQLITE_FORMAT,
      extension: '.sqlite',
      expectedBytes: ready.pages * ready.pageSize,
      version: ready.version,
    };
  } catch (error) {
    const failure = toBackupError(error, request.file);
    await child.kill(failure);
    await rm(request.spoolFolder, { recursive: true, force: true });
    throw failure;
  }
}

/** What the manifest remembers of a database that passed its check. */
export function inspectionProof(
  inspection: Inspection,
  check: 'quick_check' | 'integrity_check',
  extra: DumpProof['facts'] = {},
): DumpProof {
  const { pages, pageSize, rows, warnings, ...facts } = inspection;
  return {
    statement: `${check} ok, ${pages} pages of ${pageSize} bytes`,
    facts: {
      pages,
      pageSize,
      bytes: pages * pageSize,
      userVersion: facts.userVersion,
      applicationId: facts.applicationId,
      encoding: facts.encoding,
      journalMode: facts.journalMode,
      sqliteVersion: facts.version,
      ...extra,
    },
    ...(rows === undefined
      ? {}
      : { tables: Object.entries(rows).map(([name, count]) => ({ name, rows: count })) }),
    warnings,
  };
}

/**
 * The proof of completeness: the consumer took every byte, the header agrees with their number, the check
 * passed on the same pages, and the child ended with code 0. Child and files are gone when it settles.
 */
async function prove(
  child: SqliteChild,
  delivery: Delivery,
  ready: ReadyReply,
  spoolFolder: string,
): Promise<DumpProof> {
  try {
    const checking = child.expect('checked');
    await Promise.all([checking, delivery.drained, child.finished()]);
    const { inspection, spooled } = await checking;
    if (inspection.pages !== ready.pages || inspection.pageSize !== ready.pageSize) {
      throw new BackupError('incomplete', 'The pages that were checked are not the pages that were dumped');
    }
    return inspectionProof(inspection, 'quick_check', { method: spooled ? 'spool' : 'direct' });
  } catch (error) {
    const failure = toBackupError(error);
    await child.kill(failure);
    throw child.failure ?? failure;
  } finally {
    await delivery.close();
    await rm(spoolFolder, { recursive: true, force: true });
  }
}
