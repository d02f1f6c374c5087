import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { connect, createServer, type OnReadOpts, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

export interface SocketPair {
  /** For the child process; nothing was read from it. */
  readonly theirs: Socket;
  readonly ours: Socket;
}

/**
 * Two sockets that are connected with each other, ours reading as `onread` says: the pipes that Node makes
 * for child processes cannot be read into memory of one's choice.
 * @throws the system's error; nothing is left then
 */
export async function openSocketPair(onread: OnReadOpts): Promise<SocketPair> {
  // Only this user can enter the folder: nobody else can connect.
  const folder = await mkdtemp(join(tmpdir(), `dbackup-pipe-${process.pid}-`));
  const server = createServer({ pauseOnConnect: true });
  let ours: Socket | undefined;
  try {
    const path = join(folder, 's');
    server.listen(path);
    await once(server, 'listening');
    const accepted = once(server, 'connection') as Promise<[Socket]>;
    ours = connect({ path, onread });
    const [[theirs]] = await Promise.all([accepted, once(ours, 'connect')]);
    return { ours, theirs };
  } catch (error) {
    ours?.destroy();
    throw error;
  } finally {
    server.close();
    await rm(folder, { recursive: true, force: true });
  }
}
