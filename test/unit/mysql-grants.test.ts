import assert from 'node:assert/strict';
import { Grants } from '../../lib/sources/mysql/grants.ts';
import { missingPrivileges } from '../../lib/sources/mysql/privileges.ts';

const ACCOUNT = "'backup'@'%'";
const TO = 'TO `backup`@`%`';
const OPTIONS = { consistency: 'auto', binlogPosition: false } as const;

describe('grants of MySQL and MariaDB', () => {
  const grantsOf = (...lines: string[]) => new Grants(ACCOUNT, lines);

  it('hold for all databases, for one, or for a table', () => {
    const grants = grantsOf(
      `GRANT USAGE ON *.* ${TO} IDENTIFIED BY PASSWORD '*94BDCEBE19083CE2A1F959FD02F964C7AF4CFC29'`,
      `GRANT SELECT, SHOW VIEW ON \`shop\`.* ${TO}`,
      `GRANT SELECT, INSERT (\`a\`) ON \`blog\`.\`posts\` ${TO}`,
      `GRANT PROCESS ON *.* ${TO}`,
    );
    assert.ok(grants.hasOn('shop', 'SELECT') && grants.hasOn('shop', 'SHOW VIEW'));
    assert.ok(!grants.hasOn('shop', 'TRIGGER') && !grants.hasOn('shops', 'SELECT'));
    assert.ok(grants.hasOnTable('blog', 'posts', 'SELECT') && !grants.hasOn('blog', 'SELECT'));
    assert.ok(!grants.hasOnTable('blog', 'posts', 'INSERT'), 'of one column only');
    assert.ok(grants.hasGlobal('PROCESS') && grants.hasOn('shop', 'PROCESS'));
  });

  it('have patterns for databases, and none for tables', () => {
    const grants = grantsOf(
      `GRANT SELECT ON \`tenant%\`.* ${TO}`,
      `GRANT SELECT ON \`a\\_b\`.* ${TO}`,
      `GRANT SELECT ON \`one_\`.* ${TO}`,
      `GRANT SELECT ON \`dots.(+\`.* ${TO}`,
      `GRANT SELECT ON \`per_cent\`.\`t\` ${TO}`,
      `GRANT SELECT ON \`back\`\`tick\`.* ${TO}`,
    );
    for (const name of ['tenant', 'tenant1', 'a_b', 'one1', 'one_', 'dots.(+', 'back`tick']) {
      assert.ok(grants.hasOn(name, 'SELECT'), name);
    }
    for (const name of ['atenant', 'axb', 'one', 'one12', 'dotsx((', 'per_cent', 'per']) {
      assert.ok(!grants.hasOn(name, 'SELECT'), name);
    }
    assert.ok(!grants.hasOnTable('perxcent', 't', 'SELECT'));
  });

  it('may be all of them, but for the dynamic ones', () => {
    const grants = grantsOf(`GRANT ALL PRIVILEGES ON *.* ${TO} WITH GRANT OPTION`);
    assert.ok(grants.hasOn('shop', 'EVENT') && grants.hasGlobal('RELOAD'));
    assert.ok(!grants.hasGlobal('SHOW_ROUTINE'));
  });

  it('may be taken back for one database', () => {
    const grants = grantsOf(`GRANT SELECT ON *.* ${TO}`, 'REVOKE SELECT ON `secret`.* FROM `backup`@`%`');
    assert.ok(grants.hasOn('shop', 'SELECT') && !grants.hasOn('secret', 'SELECT'));
  });

  it('of routines, proxies and roles are none of these', () => {
    const grants = grantsOf(
      `GRANT EXECUTE ON PROCEDURE \`shop\`.\`p\` ${TO}`,
      `GRANT PROXY ON \`\`@\`%\` ${TO}`,
      `GRANT \`role\`@\`%\` ${TO}`,
      'SET DEFAULT ROLE `r` FOR `backup`@`%`',
    );
    assert.ok(!grants.hasOn('shop', 'EXECUTE') && !grants.hasOn('shop', 'PROXY'));
  });

  describe('that are missing for a full dump', () => {
    const mariadb = { flavour: 'mariadb' } as const;
    const mysql = { flavour: 'mysql' } as const;
    const full = `GRANT SELECT, SHOW VIEW, TRIGGER, EVENT ON \`shop\`.* ${TO}`;

    it('are named with the statement that gives them', () => {
      const missing = missingPrivileges(mariadb, grantsOf(), 'shop', {
        consistency: 'lock',
        binlogPosition: true,
      });
      assert.deepEqual(
        missing.map(({ remedy }) => remedy),
        [
          ...['SELECT', 'TRIGGER', 'EVENT', 'SHOW VIEW', 'LOCK TABLES'].map(
            (privilege) => `GRANT ${privilege} ON \`shop\`.* TO 'backup'@'%'`,
          ),
          "GRANT SELECT ON mysql.proc TO 'backup'@'%'",
          "GRANT BINLOG MONITOR ON *.* TO 'backup'@'%'",
          "GRANT RELOAD ON *.* TO 'backup'@'%'",
        ],
      );
    });

    it('do not stop a dump when only routines may be hidden', () => {
      for (const [server, remedy] of [
        [mariadb, "GRANT SELECT ON mysql.proc TO 'backup'@'%'"],
        [mysql, "GRANT SHOW_ROUTINE ON *.* TO 'backup'@'%'"],
      ] as const) {
        const [gap, ...more] = missingPrivileges(server, grantsOf(full), 'shop', OPTIONS);
        assert.deepEqual(more, []);
        assert.equal(gap?.isFatal, false);
        assert.equal(gap.remedy, remedy);
      }
    });

    it('are none when routines can be seen by one of the ways', () => {
      const ways = [
        [mariadb, `GRANT SELECT ON \`mysql\`.\`proc\` ${TO}`],
        [mariadb, `GRANT SHOW CREATE ROUTINE ON \`shop\`.* ${TO}`],
        [mariadb, `GRANT EXECUTE ON \`shop\`.* ${TO}`],
        [mysql, `GRANT SHOW_ROUTINE ON *.* ${TO}`],
        [mysql, `GRANT SELECT ON *.* ${TO}`],
      ] as const;
      for (const [server, line] of ways) {
        assert.deepEqual(missingPrivileges(server, grantsOf(full, line), 'shop', OPTIONS), [], line);
      }
    });
  });
});
