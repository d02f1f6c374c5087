import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import type { Account } from './account.ts';
import { type ServerProgram, type ServerSettings, TestMysqlServer } from './mysql-server.ts';

const run = promisify(execFile);

const PROGRAM: ServerProgram = {
  flavour: 'mariadb',
  server: ['/usr/sbin/mariadbd', '--no-defaults'],
  initialize,
  toolsFolder: '',
};

/** Starts the MariaDB of Debian's `mariadb-server`. */
export async function startMariadb(options: ServerSettings = {}): Promise<TestMysqlServer> {
  return TestMysqlServer.start(PROGRAM, options);
}

async function initialize(
  { data, temporary }: { data: string; temporary: string },
  account: Account | undefined,
): Promise<void> {
  const options = [
    '--no-defaults',
    `--datadir=${data}`,
    `--tmpdir=${temporary}`,
    '--auth-root-authentication-method=normal',
    '--skip-test-db',
    '--skip-name-resolve',
    '--innodb-log-file-size=16M',
    '--innodb-flush-log-at-trx-commit=0',
  ];
  await run('/usr/bin/mariadb-install-db', options, { ...account, cwd: '/' });
}
