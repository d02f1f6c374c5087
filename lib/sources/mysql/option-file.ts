import { rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { makePrivateFolder, sweepPrivateFolders } from '../../private-folders.ts';
import type { MysqlSession } from './connect.ts';
import type { MysqlServer } from './options.ts';
import { toolTls } from './security.ts';
import type { MysqlTool } from './tools.ts';

/** Of the private folders that hold option files. */
const KIND = 'mysql';

export interface ClientOptionFile {
  /** The tool's first argument: the one option file that it reads. */
  readonly argument: string;
  /** To be added to its environment. */
  readonly env: Readonly<Record<string, string>>;
  /** Never rejects. */
  remove(): Promise<void>;
}

/**
 * Writes how a tool connects into a file that only this user can read, password included: arguments can be
 * seen by every user of the machine.
 *
 * `--defaults-file` and not `--defaults-extra-file`, so that the machine's and the user's own option files
 * are not read: a `host`, `where` or `no-data` of theirs would change what is dumped, without a word.
 * MySQL's tools read the login file (`~/.mylogin.cnf`) all the same; the environment points them to one that
 * does not exist.
 * @param session how the server is reached and how its connections are secured; to be closed after the tool
 */
export async function clientOptionFile(
  server: MysqlServer,
  session: MysqlSession,
  tool: Pick<MysqlTool, 'flavour'>,
): Promise<ClientOptionFile> {
  // Killed processes cannot remove theirs: a password is not to lie there for longer than it must.
  await sweepPrivateFolders(tmpdir(), KIND).catch(() => []);
  const folder = await makePrivateFolder(KIND);
  const remove = () => rm(folder, { recursive: true, force: true }).catch(() => undefined);
  try {
    const path = join(folder, 'client.cnf');
    await writeFile(path, optionText(connectionOptions(server, session, tool.flavour)), { mode: 0o600 });
    return {
      argument: `--defaults-file=${path}`,
      env: { MYSQL_TEST_LOGIN_FILE: join(folder, 'none') },
      remove,
    };
  } catch (error) {
    await remove();
    throw error;
  }
}

function connectionOptions(
  server: MysqlServer,
  { reached, security, encrypted }: MysqlSession,
  flavour: MysqlTool['flavour'],
): Record<string, string> {
  const address: Record<string, string> = reached.host.startsWith('/')
    ? { protocol: 'socket', socket: reached.host }
    : { protocol: 'tcp', host: reached.host, port: String(reached.port) };
  const through = { encrypted, tunnel: server.tunnel !== undefined };
  return {
    ...address,
    user: server.user,
    password: server.password ?? '',
    ...toolTls(security, flavour, through),
  };
}

/**
 * The text of an option file with one group that every client tool reads.
 * https://dev.mysql.com/doc/refman/8.4/en/option-files.html
 */
export function optionText(options: Readonly<Record<string, string>>): string {
  const lines = Object.entries(options).map(([name, value]) => `${name}="${escaped(value)}"`);
  return ['[client]', ...lines, ''].join('\n');
}

const ESCAPES: Readonly<Record<string, string>> = {
  '\\': '\\\\',
  '"': '\\"',
  '\n': '\\n',
  '\r': '\\r',
  '\t': '\\t',
  '\b': '\\b',
};

function escaped(value: string): string {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: what option files write as escapes
  return value.replace(/[\\"\n\r\t\u0008]/g, (character) => ESCAPES[character] ?? character);
}
