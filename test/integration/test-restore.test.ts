import assert from 'node:assert/strict';
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { readAnnotations } from '../../lib/backupset/annotations.ts';
import type { BackupSet } from '../../lib/backupset/reader.ts';
import { BackupError } from '../../lib/errors.ts';
import { privateFolderName } from '../../lib/private-folders.ts';
import { sweepScratches } from '../../lib/restore/test-restore.ts';
import { recordVerification, verdictOf } from '../../lib/restore/verdict.ts';
import { type VerifyReport, verifySet } from '../../lib/restore/verify.ts';
import { connectMysql } from '../../lib/sources/mysql/connect.ts';
import { connectPostgres } from '../../lib/sources/postgres/connect.ts';
import { scratchName } from '../../lib/sources/scratch.ts';
import { orSkip } from '../servers/foreign-suite.ts';
import { startMariadb } from '../servers/mariadb.ts';
import { startMysql } from '../servers/mysql.ts';
import { freePort } from '../support/free-port.ts';
import { VAULT_RING } from '../support/keys.ts';
import {
  mysqlWorld,
  onlyArtifact,
  postgresWorld,
  sqliteWorld,
  type TestRestoreWorld,
  testRestoreOf,
  withArtifacts,
} from '../support/test-restores.ts';
import { until } from '../support/until.ts';

const NEVER = new AbortController().signal;

const worlds: [string, () => Promise<TestRestoreWorld>][] = [
  ['SQLite', sqliteWorld],
  ['PostgreSQL', postgresWorld],
  ['MariaDB', async () => mysqlWorld(await startMariadb())],
  ['MySQL', async () => mysqlWorld(await startMysql())],
];

for (const [name, open] of worlds) {
  describe(`test restores of ${name}`, function () {
    this.timeout(300_000);
    let world: TestRestoreWorld;
    let set: BackupSet;
    let untouched: readonly string[];

    before(async function () {
      this.timeout(15 * 60_000);
      world = await orSkip(this, open);
      set = world.sets[0] ?? assert.fail();
      untouched = await world.present();
    });
    after(async () => await world?.close());
    // Whatever a test does: nothing is left of what it has restored.
    afterEach(async () => assert.deepEqual(await world.present(), untouched));

    it('find as many rows as the manifest says, in dumps of every format', async () => {
      const count = onlyArtifact(set).tables?.find(({ name: table }) => /accounts$/.test(table))?.rows;
      assert.ok(count !== undefined && count > 0);
      for (const each of world.sets) {
        const report = await testRestoreOf(world, each, [
          `SELECT count(*) FROM accounts => ${count}`,
          '[elsewhere] SELECT nothing => 1',
          `[${onlyArtifact(each).database}] SELECT count(*) FROM accounts => >= 1`,
        ]);
        assert.equal(report.ok, true, problems(report));
        assert.match(
          report.artifacts[0]?.found ?? '',
          /^restored, \d+ rows in \d+ tables as dumped, 2 assertions held$/,
        );
      }
    });

    it('find out that rows or tables are missing, and make the set known as bad', async () => {
      const short = withArtifacts(set, (artifact) => {
        const [first, ...others] = artifact.tables ?? [];
        assert.ok(first !== undefined);
        return {
          ...artifact,
          tables: [{ ...first, rows: first.rows + 1 }, ...others, { name: 'public.gone', rows: 3 }],
        };
      });
      const report = await testRestoreOf(world, short);
      assert.equal(verdictOf(report), 'bad');
      assert.match(problems(report), /the table public\.gone is missing; .+ has \d+ rows, the dump has \d+/);
      assert.equal((await recordVerification(short, report, { signal: NEVER })).verdict, 'bad');
      assert.equal((await knownBad())?.level, 'restore');

      // What does not look as deep takes nothing back.
      const content = await verifySet({ set, level: 'content', keys: VAULT_RING, signal: NEVER });
      await recordVerification(set, content, { signal: NEVER });
      assert.equal((await knownBad())?.level, 'restore');
      await recordVerification(set, await testRestoreOf(world, set), { signal: NEVER });
      assert.equal(await knownBad(), undefined);
      const { value } = await readAnnotations(set.driver, set.path, { signal: NEVER });
      assert.deepEqual(
        value.verifications.map(({ level, ok }) => [level, ok]),
        [
          ['restore', false],
          ['content', true],
          ['restore', true],
        ],
      );
    });

    it('fail when an answer is not as expected, and know no verdict when it cannot be asked', async () => {
      const wrong = await testRestoreOf(world, set, ['SELECT count(*) FROM accounts => < 0']);
      assert.equal(verdictOf(wrong), 'bad');
      assert.match(problems(wrong), /SELECT count\(\*\) FROM accounts gave \d+, expected < 0/);
      const gone = await testRestoreOf(world, set, ['SELECT count(*) FROM vanished => > 0']);
      assert.equal(verdictOf(gone), 'bad');
      assert.match(problems(gone), /vanished failed/);
      const misspelt = await testRestoreOf(world, set, ['SELEKT 1 => 1']);
      assert.equal(verdictOf(misspelt), 'unknown');
      assert.match(problems(misspelt), /cannot be asked/);
    });

    it('take back the mark of an assertion only when they ask it again', async () => {
      const { database } = onlyArtifact(set);
      const asked = ['SELECT count(*) FROM accounts => < 0', '[elsewhere] SELECT nothing => 1'];
      await recordVerification(set, await testRestoreOf(world, set, asked), { signal: NEVER });
      assert.deepEqual((await knownBad())?.assertions, [{ database, text: asked[0] }]);
      const plain = await testRestoreOf(world, set, ['SELECT count(*) FROM accounts => >= 0']);
      const { verdict, stillBad } = await recordVerification(set, plain, { signal: NEVER });
      assert.equal(verdict, 'good');
      assert.match(stillBad ?? '', /gave \d+, expected < 0; only a test restore that asks again what failed/);
      const forgetting = { signal: NEVER, forgetAssertions: true };
      assert.equal((await recordVerification(set, plain, forgetting)).stillBad, undefined);
      assert.equal(await knownBad(), undefined);
    });

    it('let no assertion write', async () => {
      const report = await testRestoreOf(world, set, [
        'DELETE FROM accounts => 0',
        'SELECT count(*) FROM accounts => > 0',
      ]);
      assert.equal(report.ok, false);
      assert.doesNotMatch(problems(report), /expected > 0/);
    });

    it('end while a database is restored, and leave nothing', async () => {
      const stop = new AbortController();
      const onProgress = () => stop.abort(new BackupError('aborted', 'Enough'));
      await assert.rejects(testRestoreOf(world, set, [], { signal: stop.signal, onProgress }), {
        code: 'aborted',
      });
    });

    it('end while an assertion is asked, and leave nothing', async () => {
      const stop = new AbortController();
      const asking = testRestoreOf(world, set, [`${world.endless} => 1`], { signal: stop.signal });
      asking.catch(() => undefined);
      await until(async () =>
        (await world.present()).some((each) => /verify/.test(each) && !/_restoring_/.test(each)),
      );
      stop.abort(new BackupError('aborted', 'Enough'));
      await assert.rejects(asking, { code: 'aborted' });
    });

    it('compare nothing when rows were not counted', async () => {
      const plain = withArtifacts(set, ({ tables: _tables, ...artifact }) => artifact);
      const report = await testRestoreOf(world, plain);
      assert.equal(report.ok, true);
      assert.match(report.artifacts[0]?.found ?? '', /rows were not counted/);
    });

    it('know no verdict when the place cannot be used', async () => {
      const report = await testRestoreOf(await withoutPlace(world), set);
      assert.equal(verdictOf(report), 'unknown');
      assert.deepEqual(await recordVerification(set, report, { signal: NEVER }), { verdict: 'unknown' });
    });

    if (name === 'SQLite') {
      it('sweep what killed ones have left, and nothing else', async () => {
        const kept = privateFolderName('verify');
        const left = kept.replace(/-\d+-([0-9a-f]{16})$/, '-1-$1');
        for (const each of [kept, left, 'mine']) await mkdir(join(world.folder, each));
        assert.deepEqual(await sweepScratches({ folder: world.folder, assertions: [] }, NEVER), [left]);
        untouched = await world.present();
        assert.deepEqual(untouched.toSorted(), [kept, 'mine'].toSorted());
      });
    } else {
      it('sweep what killed ones have left a day ago, and nothing else', async () => {
        const days = (count: number) => new Date(Date.now() - count * 24 * 3600_000);
        const old = [scratchName(days(1.1)), `${scratchName(days(40))}_restoring_0123abcd`];
        const kept = [scratchName(days(0.9)), 'dbackup_verify_mine', `x${scratchName(days(2))}`];
        for (const each of [...old, ...kept]) await world.plant?.(each);
        const { server, folder } = world;
        assert.deepEqual(
          (await sweepScratches({ server, folder, assertions: [] }, NEVER)).toSorted(),
          old.toSorted(),
        );
        assert.deepEqual(await world.present(), [...untouched, ...kept].toSorted());
        untouched = await world.present();
      });

      it('sweep none that is still in use, however long that takes', async () => {
        const { plant, server, folder } = world;
        assert.ok(plant !== undefined && server !== undefined);
        const left = scratchName(new Date(Date.now() - 50 * 3600_000));
        await plant(left);
        const session =
          server.kind === 'mysql'
            ? await connectMysql(server.server, left, NEVER)
            : await connectPostgres(server.server, left, NEVER);
        const place = { server, folder, assertions: [] };
        try {
          assert.deepEqual(await sweepScratches(place, NEVER), []);
        } finally {
          await session.close();
        }
        await until(async () => (await sweepScratches(place, NEVER)).includes(left));
      });
    }

    async function knownBad() {
      return (await readAnnotations(set.driver, set.path, { signal: NEVER })).value.knownBad;
    }
  });
}

function problems({ artifacts }: VerifyReport): string {
  return artifacts.map(({ error }) => error?.message ?? '').join('; ');
}

async function withoutPlace({ server, folder }: TestRestoreWorld) {
  if (server === undefined) return { folder: join(folder, 'missing') };
  const port = await freePort();
  if (server.kind === 'mysql') return { folder, server: { ...server, server: { ...server.server, port } } };
  return { folder, server: { ...server, server: { ...server.server, port } } };
}
