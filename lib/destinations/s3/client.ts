import { readFile } from 'node:fs/promises';
import { Agent as HttpAgent } from 'node:http';
import { Agent as HttpsAgent } from 'node:https';
import type { S3Client, S3ClientConfig } from '@aws-sdk/client-s3';
import { BackupError } from '../../errors.ts';
import type { S3Options } from './options.ts';
import { PartBody } from './part.ts';
import type { S3Target } from './providers.ts';
import { loadS3, type S3Library } from './s3-library.ts';

/** How long a connection may take to come about, in ms. */
const CONNECT_MS = 15_000;
/** Enough for several files at once with many parts each: more would wait for a connection unseen. */
const MAX_SOCKETS = 1024;
/** Connections that nothing uses are closed after that time, in ms: most servers do so after a minute. */
const IDLE_MS = 30_000;

export interface S3Session {
  readonly library: S3Library;
  readonly client: S3Client;
}

/** Every line of the SDK would go to the console of the host. */
const SILENT = { trace: ignore, debug: ignore, info: ignore, warn: ignore, error: ignore };

/**
 * Opens a client of the SDK for the storage. It connects when it is used first; its idle connections keep no
 * process alive.
 * @throws BackupError `unavailable` without the package, `invalid-config` for a CA file that cannot be read
 */
export async function openSession(options: S3Options, target: S3Target): Promise<S3Session> {
  const library = await loadS3();
  const ca = await readAuthority(options.caFile);
  const agent = { keepAlive: true, maxSockets: MAX_SOCKETS, timeout: IDLE_MS };
  const config: S3ClientConfig = {
    // Requests are tried again by us: bodies are streams, and an upload has a limit of its own.
    maxAttempts: 1,
    forcePathStyle: target.pathStyle,
    // Checksums are ours: the SDK would take whole parts through JavaScript.
    requestChecksumCalculation: 'WHEN_REQUIRED',
    responseChecksumValidation: 'WHEN_REQUIRED',
    // Costs a round trip for each part.
    expectContinueHeader: false,
    logger: SILENT,
    requestHandler: {
      connectionTimeout: CONNECT_MS,
      httpAgent: new HttpAgent(agent),
      httpsAgent: new HttpsAgent({ ...agent, ...(ca === undefined ? {} : { ca }) }),
      // Its warning of waiting requests goes to the console.
      socketAcquisitionWarningTimeout: 2 ** 31 - 1,
    },
    ...(target.endpoint === undefined ? {} : { endpoint: target.endpoint }),
    ...(target.region === undefined ? {} : { region: target.region }),
    ...keysOf(options),
  };
  const client = new library.S3Client(config);
  signBodies(client);
  return { library, client };
}

/** The SDK can only sign bodies that are one buffer. */
function signBodies(client: S3Client): void {
  client.middlewareStack.add(
    (next) => async (args) => {
      const { body, headers } = args.request as { body?: unknown; headers: Record<string, string> };
      if (body instanceof PartBody) headers['x-amz-content-sha256'] = body.payloadHash;
      return await next(args);
    },
    { step: 'build', name: 'signBodies' },
  );
}

/** Without keys of its own the storage has those that the SDK finds: environment, files, container, machine. */
function keysOf({
  accessKeyId,
  secretAccessKey,
  sessionToken,
}: S3Options): Pick<S3ClientConfig, 'credentials'> {
  if (!accessKeyId || !secretAccessKey) return {};
  return { credentials: { accessKeyId, secretAccessKey, ...(sessionToken ? { sessionToken } : {}) } };
}

async function readAuthority(file: string): Promise<Buffer | undefined> {
  if (file === '') return undefined;
  try {
    return await readFile(file);
  } catch (cause) {
    const why = cause instanceof Error ? cause.message : String(cause);
    throw new BackupError('invalid-config', `The CA file of the S3 storage cannot be read: ${why}`, {
      cause,
    });
  }
}

function ignore(): void {}
