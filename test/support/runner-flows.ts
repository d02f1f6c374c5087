import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createSampleDatabase } from '../../demo/sample-database.ts';
import type { FlowEntry } from '../../runner/runtime.ts';

/** Opens the key vaults of tests. */
export const MASTER_KEY = 'a master secret for tests only';

/** A folder for one test: a database, two storages, a data directory, and a temp folder of its own. */
export class RunnerWorkspace {
  readonly root = mkdtempSync(join(tmpdir(), 'dbackup-runner-'));
  readonly first = join(this.root, 'first');
  readonly second = join(this.root, 'second');
  readonly data = join(this.root, 'data');
  readonly temp = join(this.root, 'temp');
  readonly database = join(this.root, 'shop.sqlite');

  constructor(databaseBytes = 2_000_000) {
    for (const folder of [this.first, this.second, this.temp]) mkdirSync(folder);
    createSampleDatabase(this.database, databaseBytes);
  }

  /** Environment in which nothing of the developer's own installation is touched. */
  env(more: NodeJS.ProcessEnv = {}): NodeJS.ProcessEnv {
    return {
      DBACKUP_DATA: this.data,
      DBACKUP_MASTER_KEY: MASTER_KEY,
      TMPDIR: this.temp,
      HOME: this.root,
      XDG_CACHE_HOME: join(tmpdir(), 'dbackup-test-cache'),
      ...more,
    };
  }

  write(name: string, content: unknown): string {
    const file = join(this.root, name);
    writeFileSync(file, typeof content === 'string' ? content : JSON.stringify(content));
    return file;
  }

  /** The usual flow: inject, source, zstd, encryption with a vault key, two folders. */
  flow(options: FlowParts = {}): string {
    return this.write(options.file ?? 'flow.json', backupFlow(this, options));
  }

  remove(): void {
    rmSync(this.root, { recursive: true, force: true });
  }
}

export interface FlowParts {
  readonly file?: string;
  readonly files?: readonly string[];
  /** MB/s of the first destination: makes a run last. */
  readonly rate?: number;
  /** Settings of the key node; null for no encryption. */
  readonly key?: Readonly<Record<string, unknown>> | null;
  readonly format?: 'dbk' | 'age';
  readonly secondRoot?: string;
  /** Ids of the destinations that there are; both without it. */
  readonly stores?: readonly ('near' | 'far')[];
  /** Other settings of nodes, by id. */
  readonly settings?: Readonly<Record<string, object>>;
  /** Nodes that are added. */
  readonly more?: readonly FlowEntry[];
  /** Ids that the first destination is wired to. */
  readonly afterFirst?: readonly string[];
}

type Places = Pick<RunnerWorkspace, 'database' | 'first' | 'second'>;

/** The entries of that flow. */
export function backupFlow(places: Places, parts: FlowParts): FlowEntry[] {
  const { files = [places.database], rate = '', key = { kind: 'vault', keyName: 'main' } } = parts;
  const last = key === null ? 'zip' : 'enc';
  const { stores = ['near', 'far'] } = parts;
  const at = (id: string, type: string, wires: readonly string[], settings: object): FlowEntry => ({
    id,
    type,
    z: 'tab',
    x: 100,
    y: 100,
    name: id,
    wires: [wires],
    ...settings,
  });
  // Node-RED takes a config node whose name is an id for one that refers to that node.
  const storage = (id: string, root: string) => ({
    id,
    type: 'dbackup-local-storage',
    name: `storage ${id}`,
    root,
    create: false,
    reserveMiB: 0,
    schemaVersion: 1,
  });
  const nodes = [
    { id: 'tab', type: 'tab', label: 'Backup' },
    at('go', 'inject', ['src'], {
      props: [{ p: 'payload' }],
      payload: '',
      payloadType: 'date',
      repeat: '',
      crontab: '',
      once: false,
    }),
    at('src', 'dbackup-sqlite', ['zip'], { job: 'shop', files, schemaVersion: 1 }),
    at('zip', 'dbackup-compress', key === null ? stores : ['enc'], {
      algorithm: 'zstd',
      level: 3,
      schemaVersion: 1,
    }),
    ...(last === 'zip'
      ? []
      : [
          at('enc', 'dbackup-encrypt', stores, {
            key: 'key',
            format: parts.format ?? 'dbk',
            schemaVersion: 1,
          }),
        ]),
    at('near', 'dbackup-local', parts.afterFirst ?? [], {
      storage: 'disk1',
      folder: '',
      rate,
      schemaVersion: 1,
    }),
    at('far', 'dbackup-local', [], { storage: 'disk2', folder: 'deep/er', rate: '', schemaVersion: 1 }),
    ...(key === null ? [] : [{ id: 'key', type: 'dbackup-key', name: 'the key', schemaVersion: 1, ...key }]),
    storage('disk1', places.first),
    storage('disk2', parts.secondRoot ?? places.second),
  ];
  const unused = ['near', 'far'].filter((id) => !(stores as readonly string[]).includes(id));
  return [
    ...nodes
      .filter(({ id }) => !unused.includes(id))
      .map((node) => ({ ...node, ...parts.settings?.[node.id] })),
    ...(parts.more ?? []),
  ];
}
