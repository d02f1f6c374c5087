import { TestApache } from '../servers/apache.ts';
import { startCeph, type TestCeph } from '../servers/ceph.ts';
import { TestNextcloud } from '../servers/nextcloud.ts';
import { TestProftpd } from '../servers/proftpd.ts';
import { TestBucket } from './s3-bucket.ts';

/** The servers that storage nodes are tried with. */
export interface StorageServers {
  readonly ceph: TestCeph;
  readonly bucket: TestBucket;
  readonly nextcloud: TestNextcloud;
  /** A WebDAV server of another kind, with TLS. */
  readonly webdav: TestApache;
  readonly ftp: TestProftpd;
  /** The variables that the flow templates of storages ask for. */
  readonly environment: Readonly<Record<string, string>>;
  stop(): Promise<void>;
}

/** Starts Ceph with a bucket, a Nextcloud, an Apache and a ProFTPD, all at once. */
export async function startStorageServers(): Promise<StorageServers> {
  const started: { stop(): Promise<void> }[] = [];
  const stop = async () => void (await Promise.all(started.map((server) => server.stop())));
  const keep = async <T extends { stop(): Promise<void> }>(starting: Promise<T>): Promise<T> => {
    const server = await starting;
    started.push(server);
    return server;
  };
  const starting = [
    keep(startCeph()),
    keep(TestNextcloud.start()),
    keep(TestApache.start({ tls: true })),
    keep(TestProftpd.start()),
  ] as const;
  try {
    const [ceph, nextcloud, webdav, ftp] = await Promise.all(starting);
    const bucket = await TestBucket.create(ceph.endpoint, ceph.keys);
    const environment = { ...s3Variables(bucket), ...cloudVariables(nextcloud), ...ftpVariables(ftp) };
    return { ceph, bucket, nextcloud, webdav, ftp, environment, stop };
  } catch (error) {
    await Promise.allSettled(starting);
    await stop();
    throw error;
  }
}

export function s3Variables({ endpoint, keys, name }: TestBucket): Record<string, string> {
  return {
    S3_ENDPOINT: endpoint,
    S3_REGION: 'us-east-1',
    S3_BUCKET: name,
    S3_ACCESS_KEY_ID: keys.accessKeyId,
    S3_SECRET_ACCESS_KEY: keys.secretAccessKey,
  };
}

function cloudVariables({ port, settings }: TestNextcloud): Record<string, string> {
  return {
    NEXTCLOUD_URL: `http://127.0.0.1:${port}`,
    NEXTCLOUD_USER: settings.user ?? '',
    NEXTCLOUD_APP_PASSWORD: settings.password ?? '',
  };
}

function ftpVariables({ host, port, settings, caFile }: TestProftpd): Record<string, string> {
  return {
    FTP_HOST: host,
    FTP_PORT: String(port),
    FTP_USER: settings.user ?? '',
    FTP_PASSWORD: settings.password ?? '',
    FTP_CA_FILE: caFile,
  };
}
