import { randomFillSync } from 'node:crypto';
import { chmod, open, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { TestProxy } from '../servers/proxy.ts';
import { startSshd } from '../servers/sshd.ts';

/** One way through the proxy, in ms: 20 ms of round trip. */
const DELAY_MS = 10;
/** So much can be under way on the line, as with TCP on a fast and distant one. */
const WINDOW_BYTES = 16 * 1024 * 1024;
/** More says nothing more. */
const MOST_BYTES = 256e6;
const BLOCK_BYTES = 1024 * 1024;

/** An SSH server, near and far, and something to transfer. */
export interface BenchSftp {
  /** For our side: files with the settings of the storage. */
  readonly near: string;
  readonly far: string;
  /** What the `sftp` command needs to reach the far one. */
  readonly tool: string;
  /** What is uploaded; does not compress. */
  readonly file: string;
  /** The same as an object of the storage, and where the `sftp` command finds it. */
  readonly object: string;
  readonly objectPath: string;
  /** Where the `sftp` command puts what it uploads. */
  readonly uploadPath: string;
  /** Bytes of both. */
  readonly bytes: number;
  /** Removes what was uploaded. */
  clear(): Promise<void>;
  stop(): Promise<void>;
}

/** The name of what is uploaded. */
export const UPLOADED = 'uploaded';
const OBJECT = 'stored';

export async function startBenchSftp(folder: string, size: number): Promise<BenchSftp> {
  const bytes = Math.min(size, MOST_BYTES);
  const server = await startSshd();
  const proxy = await TestProxy.start(server);
  proxy.delayMs = DELAY_MS;
  proxy.windowBytes = WINDOW_BYTES;
  const stop = async () => {
    await proxy.close();
    await server.stop();
  };
  try {
    const settings = { ...server.settings, root: server.root };
    const near = join(folder, 'sftp-near.json');
    const far = join(folder, 'sftp-far.json');
    await writeFile(near, JSON.stringify(settings), { mode: 0o600 });
    await writeFile(far, JSON.stringify({ ...settings, port: proxy.port }), { mode: 0o600 });
    const file = join(folder, 'noise');
    const objectPath = join(server.folder, OBJECT);
    for (const path of [file, objectPath]) await writeNoise(path, bytes);
    await chmod(objectPath, 0o644);
    const ssh = ['StrictHostKeyChecking=no', 'UserKnownHostsFile=/dev/null', 'IdentitiesOnly=yes'];
    return {
      near,
      far,
      tool: `sftp -q -b - ${ssh.map((each) => `-o ${each}`).join(' ')} -i '${server.key.file}' -P ${proxy.port} ${server.user}@${server.host}`,
      file,
      object: OBJECT,
      objectPath,
      uploadPath: join(server.folder, UPLOADED),
      bytes,
      clear: async () => await rm(join(server.folder, UPLOADED), { force: true }),
      stop,
    };
  } catch (error) {
    await stop();
    throw error;
  }
}

async function writeNoise(path: string, bytes: number): Promise<void> {
  const block = randomFillSync(Buffer.alloc(BLOCK_BYTES));
  const file = await open(path, 'w');
  for (let at = 0; at < bytes; at += block.length)
    await file.write(block, 0, Math.min(block.length, bytes - at));
  await file.close();
}
