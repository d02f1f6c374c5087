import type { Manifest } from '../../lib/backupset/manifest.ts';

const TIME = '2026-11-22T14:30:00.000Z';
const DIGEST = 'ab'.repeat(32);

/** A valid manifest with one stored and one failed database. */
export function sampleManifest(): Manifest {
  const identity = { node: 's', source: 'sqlite', origin: '/srv/shop', startedAt: TIME, finishedAt: TIME };
  return {
    format: 'dbackup-manifest',
    version: 1,
    set: '20261122T143000Z_9f86d081',
    job: 'shop',
    runId: '20261122T143000Z_9f86d081',
    host: 'db1',
    product: { name: '@dbackup/node-red', version: '0.1.0' },
    startedAt: TIME,
    finishedAt: TIME,
    status: 'partial',
    artifacts: [
      {
        ...identity,
        status: 'ok',
        database: "o'rders",
        file: "o'rders.sqlite.zst.dbk",
        rawFile: "o'rders.sqlite",
        format: 'sqlite3',
        engineVersion: '3.54.1',
        steps: [
          { kind: 'checksum', algorithm: 'blake2b512', digest: DIGEST },
          { kind: 'compress', algorithm: 'zstd', level: 3 },
          { kind: 'encrypt', format: 'dbk', key: { type: 'vault', id: 'k', version: 1 } },
          { kind: 'checksum', algorithm: 'sha512', digest: DIGEST },
        ],
        raw: { bytes: 8192, sha256: DIGEST },
        stored: { bytes: 1000, sha256: DIGEST },
        proof: { statement: 'quick_check ok', facts: { pages: 2 } },
        warnings: [],
      },
      {
        ...identity,
        status: 'failed',
        database: 'logs',
        error: { code: 'not-found', message: 'logs is missing' },
      },
    ],
    recipe: {
      version: 1,
      runId: '20261122T143000Z_9f86d081',
      job: 'shop',
      openedAt: TIME,
      path: [
        { type: 'source', node: 's', kind: 'sqlite', options: { files: ['/srv/shop/*.sqlite'] } },
        { type: 'transform', node: 'z', kind: 'compress', options: { algorithm: 'zstd', level: 3 } },
      ],
    },
  };
}
