import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { chmod, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { SourceDriver } from '../../lib/sources/driver.ts';
import { createMysqlSource } from '../../lib/sources/mysql/mysql-source.ts';
import type { MysqlServer } from '../../lib/sources/mysql/options.ts';
import { createShop } from '../fixtures/mysql-shop.ts';
import { orSkip } from '../servers/foreign-suite.ts';
import { startMariadb } from '../servers/mariadb.ts';
import { startMysql } from '../servers/mysql.ts';
import type { TestMysqlServer } from '../servers/mysql-server.ts';
import { childProcesses } from '../support/child-processes.ts';
import { until } from '../support/until.ts';

const MANUAL = readFileSync(join(import.meta.dirname, '../../docs/mysql.md'), 'utf8');
const PASSWORD = 'a long random password';
const signal = new AbortController().signal;

const flavours = [
  ['MariaDB', () => startMariadb()],
  ['MySQL', () => startMysql()],
] as const;

for (const [name, start] of flavours) {
  describe(`dumps of ${name}`, function () {
    this.timeout(180_000);
    let server: TestMysqlServer;
    const isMariadb = name === 'MariaDB';

    before(async function () {
      this.timeout(15 * 60_000);
      server = await orSkip(this, start);
      // More than a pipe holds, so that the tool is there until it is read.
      await createShop(server, 'shop', { megabytes: 2, seed: 1 });
      await createShop(server, 'blog', { megabytes: 0.1, seed: 2 });
    });
    after(async () => await server?.stop());

    type Options = Parameters<typeof createMysqlSource>[1];
    const sourceOf = (options: Options = {}, settings: Partial<MysqlServer> = {}) =>
      createMysqlSource({ ...server.settings, ...settings }, options);

    async function textOf(source: SourceDriver, id: string) {
      const dump = await source.dump({ id, name: id }, signal);
      const chunks: Buffer[] = [];
      for await (const chunk of dump.stream) chunks.push(chunk);
      return { dump, text: Buffer.concat(chunks).toString('utf8'), proof: await dump.proof };
    }

    async function asBackupUser(manual: string[], work: () => Promise<void>): Promise<void> {
      for (const statement of manual) await server.query(statement);
      try {
        await work();
      } finally {
        await server.query("DROP USER backup@'%'");
      }
    }

    it('are selected by names and patterns, without what the server has for itself', async () => {
      const namesOf = async (options: Options) =>
        (await sourceOf({ users: false, ...options }).listDatabases(signal)).map((found) => found.name);
      assert.deepEqual(await namesOf({}), ['blog', 'shop']);
      assert.deepEqual(await namesOf({ exclude: ['b*'] }), ['shop']);
      assert.deepEqual(await namesOf({ databases: ['shop', 'mysql', 'not there'] }), [
        'shop',
        'mysql',
        'not there',
      ]);
      const [users, blog] = await sourceOf().listDatabases(signal);
      assert.deepEqual(users, { id: 'users:', name: 'users' });
      assert.ok((blog?.bytes ?? 0) > 10_000);
    });

    it('hold every kind of object, and no name of a database', async () => {
      const { dump, text, proof } = await textOf(sourceOf(), 'database:shop');
      for (const object of [
        'CREATE TABLE `orders`',
        'CREATE TABLE `Käse & "co" 50%`',
        isMariadb ? 'TRIGGER first' : 'TRIGGER `first`',
        'PROCEDURE `busy`',
        'FUNCTION `twice`',
        'EVENT `yearly`',
        'VIEW `dear`',
      ]) {
        assert.ok(text.includes(object), object);
      }
      assert.ok(!/^(?:USE|CREATE DATABASE)\b/m.test(text));
      assert.match(text, /^ALTER DATABASE CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;\n/);
      assert.match(text, /\n-- Dump completed\n$/);
      assert.deepEqual([dump.format, dump.extension], ['mysql-sql', '.sql']);
      const { tables, views, routines, events, triggers, flavour, characterSet, collation } = proof.facts;
      assert.deepEqual(
        { tables, views, routines, events, triggers, flavour, characterSet, collation },
        {
          ...{ tables: 5, views: 1, routines: 2, events: 1, triggers: 1 },
          ...{ flavour: server.flavour, characterSet: 'utf8mb4', collation: 'utf8mb4_bin' },
        },
      );
      assert.deepEqual(proof.warnings, []);
    });

    it('are the same every time', async () => {
      const [first, second] = [
        await textOf(sourceOf(), 'database:shop'),
        await textOf(sourceOf(), 'database:shop'),
      ];
      assert.equal(first.text, second.text);
    });

    it('hold rows that are larger than the tool expects', async () => {
      await server.query(
        'CREATE DATABASE huge; CREATE TABLE huge.t (b longblob); INSERT INTO huge.t VALUES (REPEAT(0x00FF, 26214400))',
      );
      try {
        const { text } = await textOf(sourceOf(), 'database:huge');
        assert.equal(text.match(/0x((?:00FF)+)/)?.[1]?.length, 4 * 26_214_400);
      } finally {
        await server.query('DROP DATABASE huge');
      }
    });

    it('name the tables that are not of the same moment', async () => {
      await server.query('CREATE TABLE blog.old (a int) ENGINE=MyISAM');
      try {
        const { proof } = await textOf(sourceOf(), 'database:blog');
        assert.match(
          proof.warnings.join(),
          /without transactions .*: old \(MyISAM\); choose consistency by locks/,
        );
        const locked = await textOf(sourceOf({ consistency: 'lock' }), 'database:blog');
        assert.deepEqual(locked.proof.warnings, []);
        assert.match(
          (await sourceOf({ users: false }).probe(signal)).warnings.join(),
          /^blog: 1 tables of engines/,
        );
      } finally {
        await server.query('DROP TABLE blog.old');
      }
    });

    it('are refused before the tool starts when it would never be done with an event', async () => {
      const insert = "INSERT INTO t VALUES ('a')";
      const events: [string, string][] = [
        ['body', `EVENT body ON SCHEDULE EVERY 1 DAY DO ${insert.replace('a', 'a;;b')}`],
        ['comment', `EVENT comment ON SCHEDULE EVERY 1 DAY COMMENT 'a;;;b' DO ${insert}`],
        ['a;;name', `EVENT \`a;;name\` ON SCHEDULE EVERY 1 DAY DO ${insert}`],
        ['definer', `DEFINER=\`a;;b\`@\`%\` EVENT definer ON SCHEDULE EVERY 1 DAY DO ${insert}`],
      ];
      for (const [event, create] of events) {
        await server.query('CREATE DATABASE endless; CREATE TABLE endless.t (a text)');
        try {
          await server.query(`CREATE ${create}`, 'endless');
          const message = `endless has the event ${event} with two semicolons in a row (;;)`;
          await assert.rejects(
            sourceOf().dump({ id: 'database:endless', name: 'endless' }, signal),
            (error: Error) => error.message.startsWith(message),
          );
          const { warnings } = await sourceOf({ databases: ['endless'], users: false }).probe(signal);
          assert.ok(warnings.some((warning) => warning.includes(message)));
        } finally {
          await server.query('DROP DATABASE endless');
        }
      }
    });

    it('take semicolons in a row everywhere else', async () => {
      const routine = "BEGIN /* ;; */ INSERT INTO t VALUES ('a;;b'); -- ;;\n END";
      await server.query(
        `CREATE DATABASE rows_of; CREATE TABLE rows_of.t (a text DEFAULT (';;')) COMMENT ';;'`,
      );
      try {
        await server.query(`CREATE PROCEDURE \`p;;\`() ${routine}`, 'rows_of');
        await server.query(`CREATE EVENT e ON SCHEDULE EVERY 1 DAY DO CALL p(';')`, 'rows_of');
        const { text } = await textOf(sourceOf(), 'database:rows_of');
        assert.ok(text.includes(routine));
      } finally {
        await server.query('DROP DATABASE rows_of');
      }
    });

    it('say why when the tool does not find a database by its name', async () => {
      await server.query(`CREATE DATABASE \`ann's\``);
      try {
        await server.query('CREATE EVENT e ON SCHEDULE EVERY 1 DAY DO SELECT 1', "ann's");
        const dumped = textOf(sourceOf(), "database:ann's");
        if (isMariadb)
          await assert.rejects(dumped, /1049.*a quote or backslash in its name: give it another/);
        else assert.match((await dumped).text, /EVENT `e`/);
      } finally {
        await server.query(`DROP DATABASE \`ann's\``);
      }
    });

    it('tell where the binary log stood', async () => {
      const { proof } = await textOf(sourceOf({ binlogPosition: true }), 'database:shop');
      const { binlogFile, binlogPosition } = proof.facts;
      assert.match(String(binlogFile), /^binlog\.\d+$/);
      const [log] = await server.query('SHOW BINARY LOGS');
      assert.ok(Number(binlogPosition) > 100 && Number(binlogPosition) <= Number(log?.File_size));
    });

    it('are whole with the privileges of the manual for all databases', async () => {
      await asBackupUser(statementsOf(`${name}, all databases`), async () => {
        const source = sourceOf({}, { user: 'backup', password: PASSWORD });
        assert.deepEqual((await source.probe(signal)).warnings, []);
        const databases = await source.listDatabases(signal);
        assert.deepEqual(
          databases.map(({ id }) => id),
          ['users:', 'database:blog', 'database:shop'],
        );
        for (const { id } of databases) {
          const [mine, roots] = [await textOf(source, id), await textOf(sourceOf(), id)];
          assert.equal(mine.text, roots.text);
          assert.deepEqual(mine.proof, roots.proof);
        }
      });
    });

    it('are whole with the privileges of the manual for one database', async () => {
      const manual = statementsOf(`${name}, one database`);
      await asBackupUser([...manual, ...statementsOf(`${name}, binary log`)], async () => {
        const options = { users: false, consistency: 'lock', databases: ['shop'] } satisfies Options;
        for (const binlogPosition of [false, true]) {
          const source = sourceOf({ ...options, binlogPosition }, { user: 'backup', password: PASSWORD });
          assert.deepEqual((await source.probe(signal)).warnings, []);
          const [mine, roots] = [
            await textOf(source, 'database:shop'),
            await textOf(sourceOf({ ...options, binlogPosition }), 'database:shop'),
          ];
          assert.equal(mine.text, roots.text);
          assert.deepEqual(mine.proof, roots.proof);
        }
      });
    });

    it('are whole with privileges that a role gives', async () => {
      const [create = '', ...grants] = statementsOf(`${name}, one database`);
      const toRole = grants.map((grant) => grant.replace("TO backup@'%'", 'TO reader'));
      const byDefault = `SET DEFAULT ROLE reader ${isMariadb ? 'FOR' : 'TO'} backup@'%'`;
      const manual = [create, 'CREATE ROLE reader', ...toRole, "GRANT reader TO backup@'%'", byDefault];
      await asBackupUser(manual, async () => {
        const options = { users: false, databases: ['shop'] };
        const { text, proof } = await textOf(
          sourceOf(options, { user: 'backup', password: PASSWORD }),
          'database:shop',
        );
        assert.equal(text, (await textOf(sourceOf(options), 'database:shop')).text);
        assert.deepEqual(proof.warnings, []);
      });
      await server.query('DROP ROLE reader');
    });

    it('are refused when a missing privilege of the manual would hide something', async () => {
      const manual = statementsOf(`${name}, one database`);
      for (const privilege of ['SELECT', 'TRIGGER', 'EVENT']) {
        const without = manual.map((text) =>
          text.includes('`shop`') ? text.replace(new RegExp(`\\b${privilege}, `), '') : text,
        );
        await asBackupUser(without, async () => {
          const source = sourceOf(
            { users: false, databases: ['shop'] },
            { user: 'backup', password: PASSWORD },
          );
          await assert.rejects(textOf(source, 'database:shop'), {
            code: 'permission',
            message: new RegExp(privilege),
          });
        });
      }
    });

    it('warn when routines may be hidden, and users may not be read', async () => {
      const manual = statementsOf(`${name}, one database`);
      await asBackupUser(manual.slice(0, 2), async () => {
        const source = sourceOf({ databases: ['shop'] }, { user: 'backup', password: PASSWORD });
        const [first, ...more] = await source.listDatabases(signal);
        assert.deepEqual(more, []);
        assert.match(
          first?.warnings?.join() ?? '',
          /^Users and grants are not dumped.*grant SELECT on mysql/,
        );
        const { proof } = await textOf(source, 'database:shop');
        const [warning] = proof.warnings;
        assert.match(warning ?? '', /procedures and functions that it may not see are left out; run GRANT/);
        const probed = (await source.probe(signal)).warnings.join('\n');
        assert.match(probed, /Users and grants are not dumped/);
        assert.match(probed, /shop: .*procedures and functions/);
      });
    });

    it('of users make accounts that can sign in, with all that they may do', async () => {
      await server.query(isMariadb ? MARIADB_ACCOUNTS : MYSQL_ACCOUNTS);
      const grantsOf = async (account: string) =>
        (await server.query(`SHOW GRANTS FOR ${account}`)).map((row) => Object.values(row)[0]);
      const before = await grantsOf('anna');
      const { dump, text, proof } = await textOf(sourceOf(), 'users:');
      assert.deepEqual([dump.format, dump.extension], ['mysql-users', '.sql']);
      assert.match(text, new RegExp(`\\n-- Dump completed: ${proof.facts.accounts} accounts\\n$`));
      assert.ok(!/mysql\.sys|mysql\.session|infoschema|mariadb\.sys|PUBLIC/.test(text));
      await server.query('DROP USER anna; DROP ROLE inner_role, outer_role');
      // Those of root may be given by root at the socket only.
      await server.query(text.replace(/^.*`root`@.*\n/gm, ''));
      assert.deepEqual(await grantsOf('anna'), before);
      const found = await sourceOf({ users: false }, { user: 'anna', password: "an'na\\" }).listDatabases(
        signal,
      );
      assert.deepEqual(
        found.map((database) => database.name),
        ['shop'],
      );
      await server.query('DROP USER anna; DROP ROLE inner_role, outer_role');
    });

    it('show no password to other users of the machine', async () => {
      const before = childProcesses();
      const { stream, proof } = await sourceOf().dump({ id: 'database:shop', name: 'shop' }, signal);
      let seen: string[] = [];
      await until(() => {
        const children = childProcesses().filter((pid) => !before.includes(pid));
        seen = children.map((pid) => readFileSync(`/proc/${pid}/cmdline`, 'utf8'));
        return seen.some((line) => line.includes('--single-transaction'));
      }, 20_000);
      for await (const chunk of stream) assert.ok(chunk.length > 0);
      await proof;
      assert.ok(!seen.some((line) => line.includes(server.settings.password ?? '?')));
    });

    it('do not read the option files of the user', async () => {
      const home = await mkdtemp(join(tmpdir(), 'dbackup-home-'));
      const before = process.env.HOME;
      process.env.HOME = home;
      try {
        const wrong =
          '[client]\nhost=192.0.2.1\nuser=nobody\n[mysqldump]\nno-data\nskip-triggers\n[mariadb-dump]\nno-data\n';
        await writeFile(join(home, '.my.cnf'), wrong);
        await chmod(join(home, '.my.cnf'), 0o600);
        const { text } = await textOf(sourceOf(), 'database:shop');
        assert.ok(text.includes('INSERT INTO `orders`') && /TRIGGER `?first/.test(text));
      } finally {
        process.env.HOME = before;
        await rm(home, { recursive: true, force: true });
      }
    });

    const ways: [string, () => Partial<MysqlServer>][] = [
      ['a socket', () => ({ host: server.socket })],
      ['no TLS', () => ({ tls: 'off' })],
      ['TLS', () => ({ tls: 'require' })],
      ['an authority', () => ({ tls: 'verify-ca', caFile: server.certificates.caFile })],
      ['a name', () => ({ tls: 'verify-full', host: 'localhost', caFile: server.certificates.caFile })],
      [
        'a client certificate',
        () => {
          const { caFile, client } = server.certificates;
          return { tls: 'verify-ca', caFile, certFile: client.certFile, keyFile: client.keyFile };
        },
      ],
    ];
    for (const [way, settings] of ways) {
      it(`come by ${way}`, async () => {
        const { text } = await textOf(sourceOf({}, settings()), 'database:shop');
        assert.match(text, /-- Dump completed\n$/);
      });
    }

    it('do not come from a server that cannot show who it is', async () => {
      const { caFile, otherCaFile } = server.certificates;
      for (const settings of [
        { tls: 'verify-ca', caFile: otherCaFile },
        { tls: 'verify-full', host: 'localhost', caFile: otherCaFile },
        // By its address it is not the one that the certificate names.
        { tls: 'verify-full', host: '127.0.0.1', caFile },
      ] as const) {
        await assert.rejects(textOf(sourceOf({}, settings), 'database:shop'), {
          code: 'unavailable',
          transient: false,
          message: /check the CA file, the host name and the TLS mode$/,
        });
      }
    });
  });
}

const ACCOUNTS = `
  CREATE ROLE inner_role; CREATE ROLE outer_role;
  GRANT SELECT ON shop.* TO inner_role; GRANT inner_role TO outer_role;
  CREATE USER anna IDENTIFIED BY 'an''na\\\\' WITH MAX_QUERIES_PER_HOUR 1000;
  GRANT outer_role TO anna WITH ADMIN OPTION;
  GRANT INSERT, UPDATE (what) ON shop.log TO anna WITH GRANT OPTION;
  GRANT EXECUTE ON PROCEDURE shop.busy TO anna;`;
const MARIADB_ACCOUNTS = `${ACCOUNTS} SET DEFAULT ROLE outer_role FOR anna`;
const MYSQL_ACCOUNTS = `${ACCOUNTS} SET DEFAULT ROLE outer_role TO anna`;

/** The statements that the manual gives under a heading. */
function statementsOf(heading: string): string[] {
  const [, section = ''] = MANUAL.split(`### ${heading}\n`);
  const [, block = ''] = /```sql\n(.*?)```/s.exec(section) ?? [];
  const statements = block.split(';\n').filter((statement) => statement.trim() !== '');
  assert.ok(statements.length > 0, `the manual says nothing of ${heading}`);
  return statements;
}
