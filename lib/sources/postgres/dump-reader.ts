import type { DumpProof, TableRows } from '../driver.ts';
import { type ArchiveSummary, CustomArchiveReader } from './archive-reader.ts';
import { CopyRowCounter } from './copy-rows.ts';
import type { POSTGRES_FORMATS } from './options.ts';
import { ScriptReader } from './script-reader.ts';
import { TarArchiveReader, type TarSummary } from './tar-reader.ts';

export type PostgresFormat = (typeof POSTGRES_FORMATS)[number];

export type Shown = Pick<DumpProof, 'statement' | 'facts' | 'tables'>;

/** Follows the bytes of a dump as they pass, and knows at their end whether they are all. */
export interface DumpReader {
  /** @throws BackupError when this cannot be part of a complete dump */
  take(chunk: Buffer): void;
  /** @throws BackupError `incomplete` when something is missing */
  end(): Shown;
}

/** How each format is named in manifests, asked of pg_dump, and shown to be complete. */
export const FORMATS: Readonly<Record<PostgresFormat, DumpFormat>> = {
  custom: {
    format: 'pg-custom',
    extension: '.dump',
    // Compressing is done better, and by several cores, after the tool.
    args: ['--format=custom', '--compress=0'],
    reader: (countRows) => customReader(countRows),
  },
  plain: {
    format: 'pg-plain',
    extension: '.sql',
    args: ['--format=plain'],
    reader: (countRows) => scriptReader('database', countRows),
  },
  tar: {
    format: 'pg-tar',
    extension: '.tar',
    args: ['--format=tar'],
    reader: (countRows) => tarReader(countRows),
  },
};

export interface DumpFormat {
  readonly format: string;
  readonly extension: string;
  readonly args: readonly string[];
  reader(countRows: boolean): DumpReader;
}

export function scriptReader(kind: 'database' | 'database cluster', countRows = false): DumpReader {
  const script = new ScriptReader(kind);
  const counter = countRows ? new CopyRowCounter() : undefined;
  return {
    take: (chunk) => {
      script.take(chunk);
      counter?.take(chunk);
    },
    end: () => {
      const bytes = script.end();
      const statement = `script of ${bytes} bytes with its last line`;
      return { statement, facts: { bytes }, ...(counter === undefined ? {} : { tables: counter.rows() }) };
    },
  };
}

function customReader(countRows: boolean): DumpReader {
  const archive = new CustomArchiveReader();
  return { take: (chunk) => archive.take(chunk), end: () => shownByArchive(archive.end(), countRows) };
}

function shownByArchive({ toc, largeObjects, rows }: ArchiveSummary, countRows: boolean): Shown {
  return {
    statement: `archive ${toc.version} complete, ${toc.entries} entries, all ${toc.withData.size} with data`,
    facts: {
      archiveVersion: toc.version,
      entries: toc.entries,
      tables: toc.tables,
      largeObjects,
    },
    ...(countRows ? { tables: tablesOf(rows) } : {}),
  };
}

function tarReader(countRows: boolean): DumpReader {
  const archive = new TarArchiveReader(countRows);
  return { take: (chunk) => archive.take(chunk), end: () => shownByTar(archive.end(), countRows) };
}

function shownByTar({ toc, files, largeObjects, rows }: TarSummary, countRows: boolean): Shown {
  return {
    statement: `tar archive ${toc.version} complete, ${toc.entries} entries, ${files} files`,
    facts: { archiveVersion: toc.version, entries: toc.entries, tables: toc.tables, files, largeObjects },
    ...(countRows ? { tables: tablesOf(rows) } : {}),
  };
}

function tablesOf(rows: ReadonlyMap<string, number>): TableRows[] {
  return [...rows].map(([name, count]) => ({ name, rows: count }));
}
