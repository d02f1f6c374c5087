import assert from 'node:assert/strict';
import { BackupError } from '../../lib/errors.ts';
import { inOrder, withoutCredentials } from '../../lib/sources/mysql/accounts.ts';
import { dumpArguments } from '../../lib/sources/mysql/dump-command.ts';
import { DumpText } from '../../lib/sources/mysql/dump-text.ts';
import { numberIn, toolFailure } from '../../lib/sources/mysql/failures.ts';
import type { Inventory } from '../../lib/sources/mysql/inventory.ts';
import { optionText } from '../../lib/sources/mysql/option-file.ts';
import { mysqlSource } from '../../lib/sources/mysql/options.ts';
import { isAtLeast, judgeTool, requireDumpable } from '../../lib/sources/mysql/tool-fit.ts';
import { readVersion } from '../../lib/sources/mysql/tools.ts';

const EMPTY: Inventory = {
  characterSet: 'utf8mb4',
  collation: 'utf8mb4_bin',
  counts: { tables: 0, views: 0, sequences: 0, routines: 0, events: 0, triggers: 0 },
  nonTransactional: [],
  hasHistory: false,
  hasGeneratedColumns: false,
  endlessEvents: [],
};

describe('the tools of MySQL and MariaDB', () => {
  it('say what they are', () => {
    const answers: [string, string, string][] = [
      [
        'mariadb-dump  Ver 10.19 Distrib 10.11.19-MariaDB, for debian-linux-gnu (x86_64)',
        'mariadb',
        '10.11.19',
      ],
      ['mysqldump  Ver 10.19 Distrib 10.6.12-MariaDB, for Linux (x86_64)', 'mariadb', '10.6.12'],
      ['mariadb-dump from 11.4.3-MariaDB, client 10.19 for debian-linux-gnu (x86_64)', 'mariadb', '11.4.3'],
      [
        '/usr/bin/mysqldump: Deprecated program name.\nmysqldump from 11.4.3-MariaDB, client 10.19',
        'mariadb',
        '11.4.3',
      ],
      ['mariadb  Ver 15.1 Distrib 10.11.19-MariaDB, for debian-linux-gnu (x86_64)', 'mariadb', '10.11.19'],
      ['mysqldump  Ver 9.7.4-2 for Linux on x86_64 ((Debian))', 'mysql', '9.7.4'],
      ['mysqldump  Ver 8.0.36 for Linux on x86_64 (MySQL Community Server - GPL)', 'mysql', '8.0.36'],
      ['mysqldump  Ver 10.13 Distrib 5.7.44, for Linux (x86_64)\nmysql', 'mysql', '5.7.44'],
    ];
    for (const [text, flavour, version] of answers) assert.deepEqual(readVersion(text), { flavour, version });
    assert.equal(readVersion('pg_dump (PostgreSQL) 15.18'), undefined);
  });

  it('fit a server, fit it with a warning, or not at all', () => {
    const tool = (flavour: 'mariadb' | 'mysql', version: string) => ({
      flavour,
      version,
      path: '/usr/bin/dump',
    });
    const server = (flavour: 'mariadb' | 'mysql', version: string) => ({
      flavour,
      version,
      subject: 'server',
    });
    assert.deepEqual(judgeTool(tool('mariadb', '10.11.19'), server('mariadb', '10.11.2')), []);
    assert.deepEqual(judgeTool(tool('mysql', '9.7.4'), server('mysql', '8.0.36')), []);
    assert.match(judgeTool(tool('mariadb', '10.11.19'), server('mariadb', '11.4.2'))[0] ?? '', /older than/);
    assert.match(judgeTool(tool('mysql', '8.0.36'), server('mysql', '9.7.4'))[0] ?? '', /older than/);
    assert.match(
      judgeTool(tool('mariadb', '10.11.19'), server('mysql', '9.7.4'))[0] ?? '',
      /install mysql-client/,
    );
    assert.throws(() => judgeTool(tool('mysql', '9.7.4'), server('mariadb', '10.11.2')), {
      code: 'unavailable',
      message: /install mariadb-client/,
    });
    const generated = { ...EMPTY, hasGeneratedColumns: true };
    requireDumpable(tool('mysql', '9.7.4'), server('mysql', '9.7.4'), 'shop', generated);
    requireDumpable(tool('mariadb', '10.11.19'), server('mysql', '9.7.4'), 'shop', EMPTY);
    assert.throws(
      () => requireDumpable(tool('mariadb', '10.11.19'), server('mysql', '9.7.4'), 'shop', generated),
      { code: 'unavailable', message: /^shop has generated columns/ },
    );
  });

  it('get options that they know', () => {
    const argumentsOf = (flavour: 'mariadb' | 'mysql', version: string, source = {}, inventory = EMPTY) =>
      dumpArguments(
        { flavour, version, path: '/usr/bin/dump' },
        { initCommand: flavour === 'mysql', maskingPolicies: false },
        { version: '10.11.19' },
        '-shop',
        inventory,
        mysqlSource.parse(source),
      );
    const mariadb = argumentsOf('mariadb', '10.11.19');
    const mysql = argumentsOf('mysql', '9.7.4', { lockTimeout: 7 });
    for (const always of ['--routines', '--events', '--triggers', '--hex-blob', '--single-transaction']) {
      assert.ok(mariadb.includes(always) && mysql.includes(always), always);
    }
    assert.ok(![...mariadb, ...mysql].some((argument) => /databases|skip-tz-utc|password/.test(argument)));
    assert.deepEqual(mariadb.slice(-2), ['--', '-shop']);
    assert.ok(!mariadb.some((argument) => /gtid|column-statistics|init-command/.test(argument)));
    assert.ok(mysql.includes('--set-gtid-purged=OFF') && mysql.includes('--column-statistics=0'));
    assert.ok(mysql.includes('--init-command=SET SESSION lock_wait_timeout = 7'));
    assert.ok(!argumentsOf('mysql', '5.7.44').includes('--column-statistics=0'));
    assert.ok(argumentsOf('mariadb', '10.11.19', { binlogPosition: true }).includes('--master-data=2'));
    assert.ok(argumentsOf('mysql', '9.7.4', { binlogPosition: true }).includes('--source-data=2'));
    assert.ok(argumentsOf('mysql', '5.7.44', { binlogPosition: true }).includes('--master-data=2'));
    const lock = argumentsOf('mariadb', '10.11.19', { consistency: 'lock' });
    assert.ok(lock.includes('--lock-tables') && !lock.includes('--single-transaction'));
    const history = { ...EMPTY, hasHistory: true };
    assert.ok(argumentsOf('mariadb', '10.11.19', {}, history).includes('--dump-history'));
    assert.ok(!argumentsOf('mariadb', '10.6.12', {}, history).includes('--dump-history'));
  });

  it('compare versions by their numbers', () => {
    assert.ok(
      isAtLeast('10.11.19', '10.11.0') && isAtLeast('11.0', '10.11.5') && isAtLeast('9.7.4', '9.7.4'),
    );
    assert.ok(!isAtLeast('10.6.12', '10.11.0') && !isAtLeast('8.0.25', '8.0.26') && !isAtLeast('8', '8.0.1'));
  });

  it('read values from an option file as they are', () => {
    const text = optionText({ user: 'root', password: `it's a "secret" \\ of #1;\n\t` });
    assert.equal(text, `[client]\nuser="root"\npassword="it's a \\"secret\\" \\\\ of #1;\\n\\t"\n`);
  });

  it('tell by number what went wrong', () => {
    assert.equal(numberIn('mariadb-dump: Got error: 1045: "Access denied"'), 1045);
    assert.equal(numberIn('ERROR 2013 (HY000): Lost connection'), 2013);
    assert.equal(numberIn("Couldn't execute 'show events': Access denied (1044)"), 1044);
    assert.equal(numberIn('failed with exit code 7'), undefined);
    const failure = (text: string) => toolFailure(new BackupError('incomplete', text));
    assert.equal(failure('Got error: 1045: denied').code, 'permission');
    assert.equal(failure('Error 2013: Lost connection').transient, true);
    assert.equal(failure('View is invalid (1356)').code, 'incomplete');
    assert.equal(failure('error: 2026: TLS/SSL error: self-signed certificate').transient, false);
    assert.equal(failure('Error 2026: TLS/SSL error: unexpected eof while reading').transient, true);
  });
});

describe('the text of a dump', () => {
  const textOf = (...chunks: string[]) => {
    const text = new DumpText();
    for (const chunk of chunks) text.take(Buffer.from(chunk));
    return text;
  };

  it('ends with the line of a tool that was done, however it was cut', () => {
    const whole = `INSERT;\n${'x'.repeat(300)}\n-- Dump completed\n`;
    for (let at = 0; at <= whole.length; at++) textOf(whole.slice(0, at), whole.slice(at)).requireEnd();
    for (const chunks of [[...whole], [whole], ['-- Dump completed\n']]) textOf(...chunks).requireEnd();
    textOf('-- Dump completed on 2026-01-31  3:00:00\n').requireEnd();
  });

  it('does not end with anything else', () => {
    const ends = [
      '',
      '-- Dump completed',
      '-- Dump complete\n',
      'x-- Dump completed\n',
      '-- Dump completed\n\n',
      '-- Dump completed\n-- more\n',
      '-- Dump completed again\n',
    ];
    for (const end of ends) {
      assert.throws(
        () => textOf('INSERT;\n', end).requireEnd(),
        { code: 'incomplete', transient: true },
        end,
      );
    }
  });

  it('tells the position in the binary log', () => {
    const mariadb = "--\n-- CHANGE MASTER TO MASTER_LOG_FILE='binlog.000001', MASTER_LOG_POS=14646;\n";
    const mysql = "--\n-- CHANGE REPLICATION SOURCE TO SOURCE_LOG_FILE='b.7', SOURCE_LOG_POS=9;\n";
    assert.deepEqual(textOf(...mariadb).binlogPosition(), { file: 'binlog.000001', position: 14646 });
    assert.deepEqual(textOf(mysql).binlogPosition(), { file: 'b.7', position: 9 });
    assert.equal(textOf('-- nothing\n').binlogPosition(), undefined);
  });
});

describe('accounts of MySQL and MariaDB', () => {
  it('come after the roles that they need', () => {
    const needs = new Map([
      ['anna', ['r2']],
      ['r2', ['r1', 'gone']],
      ['loop', ['loop']],
    ]);
    assert.deepEqual(inOrder(['anna', 'loop', 'r1', 'r2'], needs), ['r1', 'r2', 'anna', 'loop']);
  });

  it('keep their passwords out of the grants', () => {
    const account = '`a`@`%`';
    const cases = [
      [`GRANT USAGE ON *.* TO ${account} IDENTIFIED BY PASSWORD '*8E06'`, `GRANT USAGE ON *.* TO ${account}`],
      [
        `GRANT ALL PRIVILEGES ON *.* TO ${account} IDENTIFIED BY PASSWORD '*60' REQUIRE SSL WITH GRANT OPTION MAX_QUERIES_PER_HOUR 5`,
        `GRANT ALL PRIVILEGES ON *.* TO ${account} WITH GRANT OPTION`,
      ],
      [`GRANT \`r\` TO ${account} WITH ADMIN OPTION`, `GRANT \`r\` TO ${account} WITH ADMIN OPTION`],
      ['SET DEFAULT ROLE `r` FOR `a`@`%`', 'SET DEFAULT ROLE `r` FOR `a`@`%`'],
      [`REVOKE SELECT ON \`x\`.* FROM ${account}`, `REVOKE SELECT ON \`x\`.* FROM ${account}`],
    ] as const;
    for (const [line, wanted] of cases) assert.equal(withoutCredentials(line, account), wanted);
  });
});
