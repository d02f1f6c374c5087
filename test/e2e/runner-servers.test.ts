import assert from 'node:assert/strict';
import { join } from 'node:path';
import { RunnerWorkspace } from '../support/runner-flows.ts';
import { dbackup } from '../support/runner-process.ts';
import {
  startTemplateServers,
  TEMPLATE_DATABASE,
  type TemplateServers,
} from '../support/template-servers.ts';

const FLOWS = join(import.meta.dirname, '..', '..', 'flows');

describe('dbackup with database servers', function () {
  this.timeout(240_000);
  let servers: TemplateServers;
  let work: RunnerWorkspace;

  before(async () => {
    servers = await startTemplateServers();
    work = new RunnerWorkspace(1000);
  });

  after(async () => {
    await servers?.stop();
    work?.remove();
  });

  const environment = (more: NodeJS.ProcessEnv = {}) =>
    work.env({ ...servers.environment, BACKUP_DIR: work.first, BACKUP_DIR_2: work.second, ...more });
  const call = (args: readonly string[], more?: NodeJS.ProcessEnv) =>
    dbackup(args, { env: environment(more) });
  const of = (prefix: string, name: string) => servers.environment[`${prefix}_${name}`] ?? '';
  const url = (scheme: string, prefix: string) =>
    `${scheme}://${of(prefix, 'USER')}@${of(prefix, 'HOST')}:${of(prefix, 'PORT')}/`;

  for (const [kind, template, scheme, prefix, node] of [
    ['postgres', '11-postgres-nightly.json', 'postgresql', 'POSTGRES', 'PostgreSQL'],
    ['mysql', '14-mysql-nightly.json', 'mysql', 'MYSQL', 'MySQL or MariaDB'],
  ] as const) {
    describe(kind, () => {
      const flow = join(FLOWS, template);
      const set = ['--flow', flow, '--storage', 'Backups', 'latest', '--job', kind];
      const password = () => of(prefix, 'PASSWORD');

      before(async () => {
        const run = await call(['run', flow, '--quiet']);
        assert.equal(run.code, 0, run.stderr);
      });

      it('names the credentials that a flow needs', async () => {
        const { code, stdout } = await call(['validate', flow], { [`${prefix}_PASSWORD`]: undefined });
        assert.equal(code, 2, stdout);
        assert.match(stdout, new RegExp(`needs the environment variable ${prefix}_PASSWORD`));
      });

      it('lists the databases of a server, of the flow or by its URL', async () => {
        const named = await call(['databases', '--flow', flow, '--server', node]);
        assert.equal(named.code, 0, named.stderr);
        assert.match(named.stdout, /^DATABASE +SIZE\n/);
        assert.match(named.stdout, new RegExp(`^${TEMPLATE_DATABASE} +\\d`, 'm'));
        const direct = await call(['databases', '--server', url(scheme, prefix), '--json'], {
          DBACKUP_SERVER_PASSWORD: password(),
        });
        assert.equal(direct.code, 0, direct.stderr);
        const { databases } = JSON.parse(direct.stdout) as { databases: { database: string }[] };
        assert.ok(databases.some(({ database }) => database === TEMPLATE_DATABASE));
      });

      it('shows what belongs to the server apart from its databases', async () => {
        const { code, stdout } = await call(['show', ...set]);
        assert.equal(code, 0);
        assert.match(stdout, new RegExp(`^Database   ${TEMPLATE_DATABASE}$`, 'm'));
        assert.match(stdout, /^Server {5}(globals \(roles and tablespaces\)|users \(users and grants\))$/m);
        assert.ok(!stdout.includes(password()));
      });

      it('restores into a server of the flow, the only database without naming it', async () => {
        const { code, stdout, stderr } = await call(['restore', ...set, '--server', node, '--to', 'by_name']);
        assert.equal(code, 0, stderr);
        assert.match(stdout, /restored to .*by_name/);
        const server = servers[kind];
        assert.deepEqual(await server.rows('by_name'), await server.rows(TEMPLATE_DATABASE));
      });

      it('restores the schema alone, by a URL and with the password from a file', async () => {
        const file = work.write('server.pass', `${password()}\n`);
        const args = [
          'restore',
          ...set,
          '--server',
          url(scheme, prefix),
          '--to',
          'by_url',
          '--schema-only',
          '--json',
        ];
        const { code, stdout, stderr } = await call(args, { DBACKUP_SERVER_PASSWORD_FILE: file });
        assert.equal(code, 0, stderr);
        assert.equal((JSON.parse(stdout) as { database: string }).database, TEMPLATE_DATABASE);
        assert.deepEqual(await servers[kind].rows('by_url'), []);
      });

      it('refuses what is there, and what cannot be meant, before anything is touched', async () => {
        const there = await call(['restore', ...set, '--server', node]);
        assert.equal(there.code, 1);
        assert.match(there.stderr, /exists/);
        for (const [more, reason] of [
          [['--server', url(scheme, `${prefix}`).replace('@', ':hunter2@')], /holds a password/],
          [['--server', 'No such server'], /names 0 servers/],
          [[], /say which .* server it goes into/],
          [['--server', node, '--schema-only', '--data-only'], /cannot be used with/],
        ] as const) {
          const { code, stderr } = await call(['restore', ...set, '--to', 'never', ...more]);
          assert.equal(code, 2, stderr);
          assert.match(stderr, reason);
          assert.ok(!stderr.includes('hunter2'));
        }
      });
    });
  }
});
