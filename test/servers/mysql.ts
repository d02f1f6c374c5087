import { execFile } from 'node:child_process';
import { join } from 'node:path';
import { promisify } from 'node:util';
import type { Account } from './account.ts';
import { unpackForeign } from './foreign-suite.ts';
import { type ServerProgram, type ServerSettings, TestMysqlServer } from './mysql-server.ts';

const run = promisify(execFile);

/** Where MySQL 9 with its own client tools is unpacked; throws ForeignSuiteError where it cannot be had. */
export async function mysqlPackages(): Promise<string> {
  return unpackForeign({
    suite: 'sid',
    packages: ['mysql-server-core', 'mysql-client-core'],
    programs: ['/usr/bin', '/usr/sbin'],
  });
}

/**
 * Starts a real MySQL 9. Unpacking it for the first time and starting it take a while: a hook that calls
 * this needs `this.timeout` of minutes, and `orSkip` around it.
 * @throws ForeignSuiteError where it cannot be had
 */
export async function startMysql(options: ServerSettings = {}): Promise<TestMysqlServer> {
  return TestMysqlServer.start(programOf(await mysqlPackages()), options);
}

function programOf(root: string): ServerProgram {
  const server: [string, ...string[]] = [
    join(root, 'usr/sbin/mysqld'),
    '--no-defaults',
    `--basedir=${join(root, 'usr')}`,
    `--plugin-dir=${join(root, 'usr/lib/mysql/plugin')}`,
    `--lc-messages-dir=${join(root, 'usr/share/mysql')}`,
    `--character-sets-dir=${join(root, 'usr/share/mysql/charsets')}`,
    '--mysqlx=OFF',
    '--innodb-redo-log-capacity=32M',
    '--innodb-use-native-aio=0',
  ];
  return {
    flavour: 'mysql',
    server,
    initialize: (place, account) => initialize(server, place, account),
    toolsFolder: join(root, 'usr/bin'),
  };
}

async function initialize(
  [program, ...options]: readonly [string, ...string[]],
  { data, temporary }: { data: string; temporary: string },
  account: Account | undefined,
): Promise<void> {
  const once = ['--initialize-insecure', `--datadir=${data}`, `--tmpdir=${temporary}`, '--secure-file-priv='];
  await run(program, [...options, ...once], { ...account, cwd: '/' });
}
