import { connect, type Socket } from 'node:net';
import { abortError, BackupError, throwIfAborted } from '../../errors.ts';
import type { RsyncDaemonOptions } from './options.ts';
import type { Connection, Transport } from './transport.ts';

/** An rsync daemon: what rsync would say to one over a remote shell goes to its port as it is. */
export class DaemonTransport implements Transport {
  readonly #options: RsyncDaemonOptions;

  constructor(options: RsyncDaemonOptions) {
    this.#options = options;
  }

  async connect(signal: AbortSignal): Promise<Connection> {
    throwIfAborted(signal);
    const socket = await this.#socket(signal);
    return {
      open: async () => ({ stream: socket, said: () => [] }),
      release: () => socket.destroy(),
    };
  }

  async #socket(signal: AbortSignal): Promise<Socket> {
    const { host, port, timeout } = this.#options;
    // rsync's messages are small and wait for each other: with Nagle's algorithm each costs 40 ms. Half-open, so
    // that the daemon's end of a session is seen after ours.
    const socket = connect({ host, port, noDelay: true, keepAlive: true, allowHalfOpen: true });
    const late = AbortSignal.timeout(timeout * 1000);
    const either = AbortSignal.any([signal, late]);
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    const stop = () => reject(abortError(either));
    either.addEventListener('abort', stop, { once: true });
    socket.once('connect', resolve);
    socket.on('error', reject);
    try {
      await promise;
      return socket;
    } catch (error) {
      socket.destroy();
      throwIfAborted(signal);
      throw unreachable(this.#options, late.aborted ? new Error(`no answer within ${timeout} s`) : error);
    } finally {
      either.removeEventListener('abort', stop);
    }
  }
}

function unreachable({ host, port }: RsyncDaemonOptions, thrown: unknown): BackupError {
  const code: unknown = thrown instanceof Error ? Reflect.get(thrown, 'code') : undefined;
  const advice =
    code === 'ENOTFOUND' ? 'check the host name' : 'check host and port, and that rsync --daemon runs there';
  return new BackupError(
    'unavailable',
    `The rsync daemon ${host}:${port} cannot be reached: ${textOf(thrown)}; ${advice}`,
    { transient: code !== 'ENOTFOUND', cause: thrown },
  );
}

/** Several addresses of one host fail as one error without a message of its own. */
function textOf(thrown: unknown): string {
  if (thrown instanceof AggregateError) return [...new Set(thrown.errors.map(textOf))].join(', ');
  return thrown instanceof Error ? thrown.message : String(thrown);
}
