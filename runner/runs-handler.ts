import { createHash, timingSafeEqual } from 'node:crypto';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { BackupError } from '../lib/errors.ts';
import { ADMIN_ROOT } from '../nodes/admin-routes.ts';
import { answerRun, answerRuns } from '../nodes/operations/run-queries.ts';
import type { BackupRuntime } from '../nodes/runtime.ts';
import { secretFrom } from './secret-input.ts';

/** Where the runner tells of runs: the same paths as Node-RED's admin server. */
export const RUNS_PATH = `${ADMIN_ROOT}/runs`;

const MIN_TOKEN_LENGTH = 16;

/**
 * The token that asks for runs: `DBACKUP_API_TOKEN`, or the content of the file that `DBACKUP_API_TOKEN_FILE` names.
 * @returns undefined when there is none
 * @throws BackupError `invalid-config` for one that could be guessed; as `secretFrom`
 */
export async function apiToken(
  env: Readonly<Record<string, string | undefined>>,
): Promise<string | undefined> {
  const token = await secretFrom('DBACKUP_API_TOKEN', undefined, env);
  if (token === undefined || token.length >= MIN_TOKEN_LENGTH) return token;
  throw new BackupError(
    'invalid-config',
    `DBACKUP_API_TOKEN is shorter than ${MIN_TOKEN_LENGTH} characters: make one with "openssl rand -hex 32"`,
  );
}

export interface RunsAccess {
  /** Without one nobody is told anything. */
  readonly token: string | undefined;
  /** Undefined while no backup node runs. */
  readonly backup: BackupRuntime | undefined;
}

/** Answers what is asked of runs, to those who know the token. False when it is another question. */
export function handleRuns(
  request: IncomingMessage,
  response: ServerResponse,
  { token, backup }: RunsAccess,
): boolean {
  // Clients may send what is no URL.
  const [path = '', ...search] = (request.url ?? '').split('?');
  const name = nameOf(path);
  if (name === undefined || request.method !== 'GET') return false;
  if (token === undefined) {
    refuse(response, 403, 'Set DBACKUP_API_TOKEN or DBACKUP_API_TOKEN_FILE to be told of runs here');
  } else if (!bears(request, token)) {
    refuse(response, 401, 'Send the token of DBACKUP_API_TOKEN: "Authorization: Bearer …"');
  } else if (name === 'events') {
    if (backup === undefined) refuse(response, 503, 'No backup node runs');
    else backup.telling.streams.serve(request, response);
  } else {
    const parameters = new URLSearchParams(search.join('?'));
    const query = Object.fromEntries([...parameters.keys()].map((key) => parameterOf(parameters, key)));
    const asked = name === '' ? answerRuns(backup, query) : answerRun(backup, name);
    void asked.then(({ status, body }) => json(response, status, body));
  }
  return true;
}

/** What comes behind the path, empty for the path itself; undefined for another path. */
function nameOf(path: string): string | undefined {
  if (path === RUNS_PATH) return '';
  const name = path.startsWith(`${RUNS_PATH}/`) ? path.slice(RUNS_PATH.length + 1) : '';
  if (name === '' || name.includes('/')) return undefined;
  try {
    return decodeURIComponent(name);
  } catch {
    return undefined;
  }
}

/** As Express gives it: a name that comes twice has a list. */
function parameterOf(parameters: URLSearchParams, key: string): [string, string | string[]] {
  const all = parameters.getAll(key);
  return [key, all.length > 1 ? all : (all[0] ?? '')];
}

/** Compared in a time that tells nothing of the token. */
function bears({ headers }: IncomingMessage, token: string): boolean {
  const given = /^Bearer +(\S+)$/i.exec(headers.authorization ?? '')?.[1];
  return given !== undefined && timingSafeEqual(digestOf(given), digestOf(token));
}

function digestOf(text: string): Buffer {
  return createHash('sha256').update(text).digest();
}

function refuse(response: ServerResponse, status: 401 | 403 | 503, error: string): void {
  if (status === 401) response.setHeader('www-authenticate', 'Bearer realm="dbackup"');
  json(response, status, { error });
}

function json(response: ServerResponse, status: number, body: object): void {
  const headers = { 'content-type': 'application/json; charset=utf-8', 'cache-control': 'no-store' };
  response.writeHead(status, headers).end(`${JSON.stringify(body)}\n`);
}
