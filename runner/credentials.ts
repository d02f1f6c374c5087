import { createCipheriv, createDecipheriv, createHash, randomBytes } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { z } from 'zod';
import { BackupError, toBackupError } from '../lib/errors.ts';
import { knowSecret } from '../lib/logs/redact.ts';
import type { FlowCredentials, FlowEntry } from './runtime.ts';

/** Credentials by node id, as nodes get them. */
export type PlainCredentials = Readonly<Record<string, Readonly<Record<string, unknown>>>>;

const plainCredentials = z.record(z.string(), z.record(z.string(), z.unknown()));
const inFlow = z.record(z.string(), z.unknown());
const VARIABLE = /^\$\{(\S+)\}$/;
const encryptedCredentials = z.strictObject({ $: z.string().regex(/^[0-9a-f]{32}/) });

/** Node-RED's own way to encrypt flows_cred.json: AES-256-CTR with the SHA-256 of the secret, hex IV in front. */
const ALGORITHM = 'aes-256-ctr';

/**
 * Reads the content of `flows_cred.json`, encrypted by Node-RED or not.
 * @throws BackupError `wrong-key` when the secret does not open it, `invalid-config` when it is no such file
 */
export function decryptCredentials(content: unknown, secret: string): PlainCredentials {
  const encrypted = encryptedCredentials.safeParse(content);
  if (!encrypted.success) {
    const plain = plainCredentials.safeParse(content);
    if (plain.success) return plain.data;
    throw new BackupError('invalid-config', 'The credentials are not a flows_cred.json file of Node-RED');
  }
  const text = encrypted.data.$;
  const decipher = createDecipheriv(ALGORITHM, keyOf(secret), Buffer.from(text.slice(0, 32), 'hex'));
  const opened = decipher.update(text.slice(32), 'base64', 'utf8') + decipher.final('utf8');
  try {
    return plainCredentials.parse(JSON.parse(opened));
  } catch {
    throw new BackupError(
      'wrong-key',
      'The credential secret does not open the credentials file: give the credentialSecret of the Node-RED that wrote it',
    );
  }
}

/** Encrypts credentials as Node-RED does; only then it takes them without a warning. */
export function encryptCredentials(credentials: PlainCredentials, secret: string): object {
  const iv = randomBytes(16);
  const cipher = createCipheriv(ALGORITHM, keyOf(secret), iv);
  return {
    $:
      iv.toString('hex') +
      cipher.update(JSON.stringify(credentials), 'utf8', 'base64') +
      cipher.final('base64'),
  };
}

/**
 * The credentials, and the variables that stand for secrets in the flow itself, with every `${NAME}` replaced by the environment variable NAME, or else by the content of
 * the file that NAME_FILE names (without the newline at its end). Names that a tab, subflow or the flow's global environment
 * defines are left to Node-RED.
 * @throws BackupError `wrong-key`, `invalid-config` naming every variable that is not set
 */
export function readCredentials(
  given: FlowCredentials | undefined,
  flows: readonly FlowEntry[],
  env: Readonly<Record<string, string | undefined>>,
): PlainCredentials {
  const plain = withVariablesOf(flows, plainOf(given));
  const left = namesDefinedIn(flows);
  const problems: string[] = [];
  const resolve = (value: unknown, where: string): unknown => {
    if (Array.isArray(value)) return value.map((item) => resolve(item, where));
    if (typeof value === 'object' && value !== null) return resolveFields(value, where);
    const name = typeof value === 'string' ? VARIABLE.exec(value)?.[1] : undefined;
    if (name === undefined || left.has(name)) return value;
    const found = fromEnvironment(name, env);
    if (found === undefined) problems.push(`${where} needs the environment variable ${name} or ${name}_FILE`);
    return knowSecret(found);
  };
  const resolveFields = (fields: object, where: string): Record<string, unknown> =>
    Object.fromEntries(
      Object.entries(fields).map(([name, value]) => [name, resolve(value, `${where}.${name}`)]),
    );
  const resolved = Object.fromEntries(
    Object.entries(plain).map(([id, fields]) => [id, resolveFields(fields, `The credential of node ${id}`)]),
  );
  if (problems.length > 0) throw new BackupError('invalid-config', problems.join('; '));
  return resolved;
}

function plainOf(given: FlowCredentials | undefined): PlainCredentials {
  if (given === undefined) return {};
  return 'plain' in given ? given.plain : decryptCredentials(given.encrypted, given.secret);
}

/**
 * A flow that is written by hand, such as a template, may say under `credentials` of a node which variables
 * its secrets come from, as the editor's import takes it too. Secrets themselves do not belong there.
 */
function withVariablesOf(flows: readonly FlowEntry[], given: PlainCredentials): PlainCredentials {
  const merged: Record<string, Readonly<Record<string, unknown>>> = { ...given };
  for (const { id, credentials } of flows) {
    const own = inFlow.safeParse(credentials);
    if (!own.success) continue;
    const variables = Object.entries(own.data).filter(([, value]) => VARIABLE.test(String(value)));
    merged[id] = { ...Object.fromEntries(variables), ...merged[id] };
  }
  return merged;
}

function fromEnvironment(
  name: string,
  env: Readonly<Record<string, string | undefined>>,
): string | undefined {
  const value = env[name];
  if (value !== undefined) return value;
  const file = env[`${name}_FILE`];
  if (file === undefined) return undefined;
  try {
    return readFileSync(file, 'utf8').replace(/\r?\n$/, '');
  } catch (error) {
    throw toBackupError(error, `The file that ${name}_FILE names cannot be read`);
  }
}

function namesDefinedIn(flows: readonly FlowEntry[]): Set<string> {
  const names = flows.flatMap((entry) => (Array.isArray(entry.env) ? entry.env : []));
  return new Set(names.flatMap((item: unknown) => nameOf(item) ?? []));
}

function nameOf(item: unknown): string | undefined {
  const name: unknown = typeof item === 'object' && item !== null && 'name' in item ? item.name : undefined;
  return typeof name === 'string' ? name : undefined;
}

function keyOf(secret: string): Buffer {
  return createHash('sha256').update(secret).digest();
}
