import { readFile } from 'node:fs/promises';
import { homedir } from 'node:os';
import { join, resolve } from 'node:path';
import { BackupError, toBackupError } from '../lib/errors.ts';
import { type FlowNode, parseFlow } from '../lib/plan/flow-file.ts';
import { decryptCredentials, type PlainCredentials, readCredentials } from './credentials.ts';
import type { FlowCredentials } from './runtime.ts';
import { secretFrom } from './secret-input.ts';

type Environment = Readonly<Record<string, string | undefined>>;

export interface FlowOptions {
  /** Credentials file; without it `<flow>_cred.json` beside the flow, when it is there. */
  readonly credentials?: string;
  /** File with the secret that the credentials file was encrypted with. */
  readonly credentialSecretFile?: string;
  /** Node-RED's user directory; `~/.node-red` without it. */
  readonly userDir?: string;
  /** Data directory; DBACKUP_DATA or `<user directory>/dbackup` without it. */
  readonly data?: string;
  /** URL of the history in PostgreSQL; without it DBACKUP_STORE, else SQLite in the data directory. */
  readonly store?: string;
}

/** An exported flow with the secrets of its nodes. */
export interface FlowInput {
  readonly file: string;
  readonly nodes: readonly FlowNode[];
  /** As the runtime wants them; undefined when there is no credentials file. */
  readonly credentials: FlowCredentials | undefined;
}

/**
 * Reads a flow file and its credentials.
 * @throws BackupError `not-found`, `invalid-config`, `wrong-key`
 */
export async function readFlow(file: string, options: FlowOptions, env: Environment): Promise<FlowInput> {
  const nodes = parseFlow(await readText(file, 'The flow'), file);
  return { file, nodes, credentials: await credentialsBeside(file, options, env) };
}

/**
 * The secrets of the flow's nodes, in clear. Where a variable is not set, the text in its place stands for the
 * secret, and the problem names it: a node that does not need the secret can still be used.
 */
export function flowCredentials(
  { credentials, nodes }: FlowInput,
  env: Environment,
): { readonly credentials: PlainCredentials; readonly problem: BackupError | undefined } {
  try {
    return { credentials: readCredentials(credentials, nodes, env), problem: undefined };
  } catch (thrown) {
    const given = credentials !== undefined && 'plain' in credentials ? credentials.plain : {};
    return { credentials: given, problem: toBackupError(thrown) };
  }
}

export function userDirectory(options: Pick<FlowOptions, 'userDir'>): string {
  return resolve(options.userDir ?? join(homedir(), '.node-red'));
}

export function dataDirectory(options: Pick<FlowOptions, 'data' | 'userDir'>, env: Environment): string {
  return resolve(options.data ?? (env.DBACKUP_DATA || join(userDirectory(options), 'dbackup')));
}

async function credentialsBeside(
  flow: string,
  options: FlowOptions,
  env: Environment,
): Promise<FlowCredentials | undefined> {
  const file = options.credentials ?? flow.replace(/(\.json)?$/, '_cred.json');
  const text = await readOptional(file, options.credentials !== undefined);
  if (text === undefined) return undefined;
  const content = parseJson(text, file);
  if (!('$' in content)) return { plain: decryptCredentials(content, '') };
  const secret = await secretFrom('DBACKUP_CREDENTIAL_SECRET', options.credentialSecretFile, env);
  if (secret === undefined) {
    throw new BackupError(
      'invalid-config',
      `${file} is encrypted: give the credentialSecret of the Node-RED that wrote it with --credential-secret-file, DBACKUP_CREDENTIAL_SECRET or DBACKUP_CREDENTIAL_SECRET_FILE`,
    );
  }
  // Opened now, so that a wrong secret is known before anything starts.
  decryptCredentials(content, secret);
  return { encrypted: content, secret };
}

async function readOptional(file: string, required: boolean): Promise<string | undefined> {
  try {
    return await readText(file, 'The credentials file');
  } catch (error) {
    if (!required && error instanceof BackupError && error.code === 'not-found') return undefined;
    throw error;
  }
}

async function readText(file: string, what: string): Promise<string> {
  try {
    return await readFile(file, 'utf8');
  } catch (thrown) {
    throw toBackupError(thrown, `${what} ${file} cannot be read`);
  }
}

function parseJson(text: string, file: string): object {
  let json: unknown;
  try {
    json = JSON.parse(text);
  } catch {
    // The parser's own message quotes the text, which holds secrets.
    json = undefined;
  }
  if (typeof json === 'object' && json !== null) return json;
  throw new BackupError('invalid-config', `${file} is not a credentials file: it must hold a JSON object`);
}
