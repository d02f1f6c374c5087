import { readdir, readFile, rm } from 'node:fs/promises';
import { join } from 'node:path';
import type { DestinationDriver } from '../../lib/destinations/driver.ts';
import { createSftpDestination } from '../../lib/destinations/sftp/sftp.ts';
import { makeFolder } from '../conformance/sftp/storage.ts';
import { TestProxy } from '../servers/proxy.ts';
import { startSshd, type TestSshd } from '../servers/sshd.ts';
import { cut, sha256 } from './byte-streams.ts';

const NEVER = new AbortController().signal;

/** A storage on an SSH server behind a proxy that breaks connections. The server serves all tests of a file. */
export class ProxiedSftp {
  readonly server: TestSshd;
  readonly proxy: TestProxy;
  /** The storage's folder, as it lies on this disk. */
  readonly folder: string;

  private constructor(server: TestSshd, proxy: TestProxy) {
    this.server = server;
    this.proxy = proxy;
    this.folder = join(server.folder, 'backups');
  }

  static async start(): Promise<ProxiedSftp> {
    const server = await startSshd();
    return new ProxiedSftp(server, await TestProxy.start(server));
  }

  async stop(): Promise<void> {
    await this.proxy.close();
    await this.server.stop();
  }

  /** An empty folder, and a network without faults. */
  async reset(): Promise<void> {
    this.proxy.disarm();
    this.proxy.accepts = 'pass';
    this.proxy.reset();
    await rm(this.folder, { recursive: true, force: true });
    await makeFolder(this.server, this.folder);
  }

  /** @param timeout of the storage's options, in s: short for what stalls, but a slow machine must sign in within it */
  driver(timeout = 60): DestinationDriver {
    const { server, proxy } = this;
    const root = `${server.root}/backups`;
    return createSftpDestination({ ...server.settings, port: proxy.port, root, timeout });
  }

  /** The same without the proxy. */
  direct(): DestinationDriver {
    return createSftpDestination({ ...this.server.settings, root: `${this.server.root}/backups` });
  }

  async put(driver: DestinationDriver, path: string, content: Buffer): Promise<void> {
    const pending = await driver.write(path, cut(content, 65_536), { signal: NEVER });
    await pending.commit();
  }

  /** Everything in the folder. */
  async traces(): Promise<string[]> {
    return (await readdir(this.folder, { recursive: true })).sort();
  }

  /** A listing fails when a folder vanishes meanwhile. */
  readonly isEmpty = async (): Promise<boolean> =>
    (await this.traces().catch(() => ['changing'])).length === 0;

  /** SHA-256 of what lies there. */
  async stored(path: string): Promise<string> {
    return sha256(await readFile(join(this.folder, path)));
  }

  /** Paths of the files that are being written, on this disk. */
  async unfinished(): Promise<string[]> {
    const names = await this.traces().catch(() => []);
    return names.filter((name) => name.endsWith('.partial')).map((name) => join(this.folder, name));
  }
}

/** How many objects a storage lists. */
export async function countListed(driver: DestinationDriver): Promise<number> {
  let count = 0;
  for await (const _ of driver.list('', NEVER)) count += 1;
  return count;
}
