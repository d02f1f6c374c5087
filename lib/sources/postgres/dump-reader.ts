import type { DumpProof } from '../driver.ts';
import { type ArchiveSummary, CustomArchiveReader } from './archive-reader.ts';
import type { POSTGRES_FORMATS } from './options.ts';
import { ScriptReader } from './script-reader.ts';
import { TarArchiveReader, type TarSummary } from './tar-reader.ts';

export type PostgresFormat = (typeof POSTGRES_FORMATS)[number];

type Shown = Pick<DumpProof, 'statement' | 'facts'>;

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
    reader: () => scriptReader('database'),
  },
  tar: { format: 'pg-tar', extension: '.tar', args: ['--format=tar'], reader: () => tarReader() },
};

export interface DumpFormat {
  readonly format: string;
  readonly extension: string;
  readonly args: readonly string[];
  reader(countRows: boolean): DumpReader;
}

export function scriptReader(kind: 'database' | 'database cluster'): DumpReader {
  const script = new ScriptReader(kind);
  return {
    take: (chunk) => script.take(chunk),
    end: () => {
      const bytes = script.end();
      return { statement: `script of ${bytes} bytes with its last line`, facts: { bytes } };
    },
  };
}

function customReader(countRows: boolean): DumpReader {
  const archive = new CustomArchiveReader();
  return { take: (chunk) => archive.take(chunk), end: () => shownByArchive(archive.end(), countRows) };
}

function shownByArchive({ toc, largeObjects, rows }: ArchiveSummary, countRows: boolean): Shown {
  const counts = countRows ? [...rows].map(([table, count]) => [`rows.${table}`, count] as const) : [];
  return {
    statement: `archive ${toc.version} complete, ${toc.entries} entries, all ${toc.withData.size} with data`,
    facts: {
      archiveVersion: toc.version,
      entries: toc.entries,
      tables: toc.tables,
      largeObjects,
      ...Object.fromEntries(counts),
    },
  };
}

function tarReader(): DumpReader {
  const archive = new TarArchiveReader();
  return { take: (chunk) => archive.take(chunk), end: () => shownByTar(archive.end()) };
}

function shownByTar({ toc, files, largeObjects }: TarSummary): Shown {
  return {
    statement: `tar archive ${toc.version} complete, ${toc.entries} entries, ${files} files`,
    facts: { archiveVersion: toc.version, entries: toc.entries, tables: toc.tables, files, largeObjects },
  };
}
