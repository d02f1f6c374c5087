import { TestApache } from '../servers/apache.ts';
import { startCeph, type TestCeph } from '../servers/ceph.ts';
import { startMariadb } from '../servers/mariadb.ts';
import { startPostgres } from '../servers/postgres.ts';
import { TestProftpd } from '../servers/proftpd.ts';
import { type FileServers, startFileServers } from './file-servers.ts';
import { TestBucket } from './s3-bucket.ts';

type Database = Awaited<ReturnType<typeof startPostgres>> | Awaited<ReturnType<typeof startMariadb>>;

/** A server of each kind that wants a secret. */
export interface SecretServers {
  readonly postgres: Database;
  readonly mysql: Database;
  readonly ceph: TestCeph;
  readonly bucket: TestBucket;
  readonly webdav: TestApache;
  readonly ftp: TestProftpd;
  readonly files: FileServers;
  stop(): Promise<void>;
}

/** Starts them all at once, with a database `shop` in those of databases. */
export async function startSecretServers(): Promise<SecretServers> {
  const started: { stop(): Promise<void> }[] = [];
  const stop = async () => void (await Promise.all(started.map((server) => server.stop())));
  const keep = async <T extends { stop(): Promise<void> }>(starting: Promise<T>): Promise<T> => {
    const server = await starting;
    started.push(server);
    return server;
  };
  const starting = [
    keep(startPostgres()),
    keep(startMariadb()),
    keep(startCeph()),
    keep(TestApache.start({ tls: true })),
    keep(TestProftpd.start()),
    keep(startFileServers()),
  ] as const;
  try {
    const [postgres, mysql, ceph, webdav, ftp, files] = await Promise.all(starting);
    for (const server of [postgres, mysql]) await fill(server);
    const bucket = await TestBucket.create(ceph.endpoint, ceph.keys);
    return { postgres, mysql, ceph, bucket, webdav, ftp, files, stop };
  } catch (error) {
    await Promise.allSettled(starting);
    await stop();
    throw error;
  }
}

async function fill(server: Database): Promise<void> {
  await server.query('CREATE DATABASE shop');
  await server.query('CREATE TABLE item (id INTEGER PRIMARY KEY, name VARCHAR(50))', 'shop');
  await server.query("INSERT INTO item VALUES (1, 'one')", 'shop');
}
