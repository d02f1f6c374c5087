import { once } from 'node:events';
import { createServer } from 'node:net';

/**
 * Below those that systems give away by themselves: else a connection, or a server that takes any port, may get it before
 * the server that it is for. Browsers refuse a few ports below 12000.
 */
const PORTS = { first: 12_000, count: 20_000 } as const;

/** A TCP port of 127.0.0.1 that nothing listens on now. */
export async function freePort(): Promise<number> {
  for (;;) {
    const port = PORTS.first + Math.floor(Math.random() * PORTS.count);
    if (await isFree(port)) return port;
  }
}

async function isFree(port: number): Promise<boolean> {
  const server = createServer();
  const listening = once(server, 'listening').then(
    () => true,
    () => false,
  );
  server.listen(port, '127.0.0.1');
  if (!(await listening)) return false;
  server.close();
  await once(server, 'close');
  return true;
}
