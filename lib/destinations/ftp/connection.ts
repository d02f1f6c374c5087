import { readFile } from 'node:fs/promises';
import type { Client, FTPResponse } from 'basic-ftp';
import { orAbort, orTimeout } from '../../abort.ts';
import { BackupError, throwIfAborted } from '../../errors.ts';
import { ftpFailure, replyCode, tlsName } from './failures.ts';
import { loadFtp } from './ftp-library.ts';
import { type FtpOptions, ftpLocation, ftpPort } from './options.ts';

/** Routers forget connections on which nothing comes; the control connection is silent during a transfer. */
const KEEP_ALIVE_MS = 30_000;

/** A control connection that is logged in. One command, or one transfer, at a time. */
export class FtpConnection {
  readonly client: Client;
  readonly options: FtpOptions;
  readonly timeoutMs: number;
  /** Names of RFC 2389: `MLST`, `SIZE`; with what follows the name, in capitals. */
  readonly features: ReadonlyMap<string, string>;
  /** The storage's folder as an absolute path, without a slash at its end; empty for the server's root. */
  readonly root: string;
  /** True when the server does not know EPSV (RFC 2428). */
  needsPasv = false;

  private constructor(
    client: Client,
    options: FtpOptions,
    features: ReadonlyMap<string, string>,
    root: string,
  ) {
    this.client = client;
    this.options = options;
    this.timeoutMs = options.timeout * 1000;
    this.features = features;
    this.root = root;
  }

  /**
   * Connects, encrypts as the options say, and logs in.
   * @throws the server's or the network's error as it came, for the pool to look at
   */
  static async open(options: FtpOptions, signal: AbortSignal): Promise<FtpConnection> {
    throwIfAborted(signal);
    const { Client: FtpClient } = await loadFtp();
    const timeoutMs = options.timeout * 1000;
    const client = new FtpClient(timeoutMs);
    try {
      const opening = logIn(client, options);
      opening.catch(() => undefined);
      const { features, home } = await orTimeout(orAbort(opening, signal), 2 * timeoutMs, () => {
        const seconds = (2 * timeoutMs) / 1000;
        return new BackupError('stalled', `${ftpLocation(options)} did not let us in within ${seconds} s`, {
          transient: true,
        });
      });
      return new FtpConnection(client, options, features, rootOf(options, home));
    } catch (error) {
      client.close();
      throw error;
    }
  }

  /** True when the connection is as good as new. */
  get usable(): boolean {
    return !this.client.closed;
  }

  /** Sends a command that has one reply. @throws the reply as it came when it refuses, else what broke */
  async command(line: string, signal: AbortSignal): Promise<FTPResponse> {
    throwIfAborted(signal);
    const reply = this.client.ftp.request(line);
    try {
      return await orAbort(reply, signal);
    } catch (error) {
      // A reply that still comes must not be taken for that of the next command.
      if (signal.aborted) this.close();
      throw error;
    }
  }

  /** The same where a refusal is an answer: undefined then. */
  async tryCommand(line: string, signal: AbortSignal): Promise<FTPResponse | undefined> {
    try {
      return await this.command(line, signal);
    } catch (error) {
      if (replyCode(error) === undefined) throw error;
      return undefined;
    }
  }

  close(): void {
    this.client.close();
  }
}

async function logIn(
  client: Client,
  options: FtpOptions,
): Promise<{ features: Map<string, string>; home: string }> {
  const { host, security, user, password } = options;
  const port = ftpPort(options);
  const tls = security === 'plain' ? undefined : await tlsOptions(options);
  if (security === 'implicit-tls') await client.connectImplicitTLS(host, port, tls);
  else await client.connect(host, port);
  client.ftp.socket.setNoDelay(true);
  client.ftp.socket.setKeepAlive(true, KEEP_ALIVE_MS);
  if (security === 'explicit-tls') await startTls(client, options, tls);
  await client.login(user, password ?? (user === 'anonymous' ? 'anonymous@' : ''));
  await client.sendIgnoringError('OPTS UTF8 ON');
  const features = await featuresOf(client);
  await client.send('TYPE I');
  if (features.has('MLST')) await client.sendIgnoringError('OPTS MLST type;size;modify;');
  if (tls !== undefined) await protectData(client, options);
  return { features, home: await homeOf(client) };
}

async function startTls(
  client: Client,
  options: FtpOptions,
  tls: Awaited<ReturnType<typeof tlsOptions>> | undefined,
): Promise<void> {
  try {
    await client.useTLS(tls);
  } catch (error) {
    if (replyCode(error) === undefined) throw error;
    throw new BackupError(
      'invalid-config',
      `${ftpLocation(options)} offers no TLS (${(error as Error).message}): let the server offer it, or choose plain FTP, which shows password and backups to everybody on the way`,
    );
  }
}

/** RFC 4217, section 9. Data connections would be open to all otherwise. */
async function protectData(client: Client, options: FtpOptions): Promise<void> {
  await client.sendIgnoringError('PBSZ 0');
  try {
    await client.send('PROT P');
  } catch (error) {
    if (replyCode(error) === undefined) throw error;
    throw new BackupError(
      'invalid-config',
      `${ftpLocation(options)} does not encrypt data connections (${(error as Error).message}): allow PROT P there`,
    );
  }
}

async function tlsOptions({ host, caFile, verifyCertificate }: FtpOptions) {
  return {
    host,
    ...tlsName(host),
    ...(caFile === '' ? {} : { ca: await readCa(caFile) }),
    rejectUnauthorized: verifyCertificate,
  };
}

async function readCa(file: string): Promise<Buffer> {
  try {
    return await readFile(file);
  } catch (cause) {
    throw new BackupError(
      'invalid-config',
      `The CA file ${file} cannot be read: ${(cause as Error).message}`,
      {
        cause,
      },
    );
  }
}

async function featuresOf(client: Client): Promise<Map<string, string>> {
  const features = await client.features();
  return new Map([...features].map(([name, rest]) => [name.toUpperCase(), rest.toUpperCase()]));
}

/** The login folder. RFC 959, appendix II: its name is in quotes, and a quote in it is doubled. */
async function homeOf(client: Client): Promise<string> {
  const { message } = await client.send('PWD');
  const quoted = /"((?:[^"]|"")*)"/.exec(message)?.[1];
  if (quoted === undefined)
    throw ftpFailure(new Error(`PWD was answered by: ${message}`), 'find the login folder');
  return quoted.replaceAll('""', '"');
}

function rootOf({ root }: FtpOptions, home: string): string {
  const absolute = root.startsWith('/') ? root : `${home.replace(/\/+$/, '')}/${root}`;
  return absolute.replace(/\/+$/, '');
}
