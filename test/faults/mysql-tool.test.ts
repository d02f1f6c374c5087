import assert from 'node:assert/strict';
import { readdir } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { createMysqlSource } from '../../lib/sources/mysql/mysql-source.ts';
import { createShop } from '../fixtures/mysql-shop.ts';
import { Random } from '../fixtures/random.ts';
import { startMariadb } from '../servers/mariadb.ts';
import type { TestMysqlServer } from '../servers/mysql-server.ts';
import { FaultyRuns, observed } from '../support/mysql-faults.ts';
import { until } from '../support/until.ts';

const MB = 1_000_000;
const SHOP_MB = 8;
const TINY = 10;

describe('a MariaDB dump whose tool goes wrong', function () {
  this.timeout(180_000);
  let server: TestMysqlServer;
  let runs: FaultyRuns;

  before(async () => {
    server = await startMariadb();
    runs = await FaultyRuns.open(server);
    await createShop(server, 'shop', { megabytes: SHOP_MB, seed: 1 });
    for (let tiny = 0; tiny < TINY; tiny++) {
      await server.query(`CREATE DATABASE tiny${tiny}; CREATE TABLE tiny${tiny}.t (a int)`);
    }
  });
  after(async () => {
    await runs?.close();
    await server?.stop();
  });
  afterEach(async () => await runs.requireNothingLeft());

  function sourceOf(databases: string[], toolsFolder = '', concurrency = 1) {
    return createMysqlSource({ ...server.settings, toolsFolder, concurrency }, { databases, users: false });
  }

  it('because it is killed at some point', async () => {
    const random = new Random(7);
    for (let attempt = 0; attempt < 12; attempt++) {
      const at = random.next() * (SHOP_MB - 2) * MB;
      let killed = false;
      const source = observed(sourceOf(['shop']), async (_, bytes) => {
        if (killed || bytes === 0 || bytes < at) return;
        killed = true;
        await until(() => runs.children().length === 1, 120_000);
        for (const child of runs.children()) process.kill(child, 'SIGKILL');
      });
      await runs.requireFailure(source, 'incomplete', /^mariadb-dump of shop was killed \(SIGKILL\)/);
    }
  });

  const faults: [string, string, RegExp][] = [
    [
      'ends with an exit code after megabytes',
      '"$REAL" "$@" | head -c 3000000; exit 7',
      /failed with exit code 7/,
    ],
    [
      'ends with an exit code before the first byte',
      'echo broken >&2; exit 1',
      /failed with exit code 1: broken/,
    ],
    [
      'ends well after a truncated stream',
      '"$REAL" "$@" | head -c 3000000; exit 0',
      /without the line "-- Dump completed"/,
    ],
    [
      'ends well without its last line',
      `"$REAL" "$@" | sed '$d'; exit 0`,
      /without the line "-- Dump completed"/,
    ],
    [
      'ends well in the middle of its last line',
      '"$REAL" "$@" | head -c -3; exit 0',
      /without the line "-- Dump completed"/,
    ],
    [
      'ends well with more after its last line',
      '"$REAL" "$@"; echo "-- more"; exit 0',
      /without the line "-- Dump completed"/,
    ],
    ['ends well without a byte', 'exit 0', /ends after 0 bytes without/],
    [
      'reports an error and ends well',
      '"$REAL" "$@"; echo "mariadb-dump: Couldn\'t execute it" >&2; exit 0',
      /left something out: .*Couldn't execute it/,
    ],
    ['is killed after the last byte', '"$REAL" "$@"; kill -9 $$', /was killed \(SIGKILL\)/],
    ['ends with an exit code after the last byte', '"$REAL" "$@"; exit 3', /failed with exit code 3/],
    [
      'closes its output and ends with an exit code later',
      '"$REAL" "$@"; exec >&-; sleep 0.3; exit 2',
      /failed with exit code 2/,
    ],
  ];
  for (const [name, script, message] of faults) {
    it(`because it ${name}`, async () => {
      await runs.requireFailure(sourceOf(['shop'], await runs.tools(script)), 'incomplete', message);
    });
  }

  it('leaves no password behind, even if we are killed while it writes', async () => {
    let looked = false;
    const source = observed(sourceOf(['shop']), async (_, bytes) => {
      if (looked || bytes < MB) return;
      looked = true;
      const secret = async () =>
        (await readdir(tmpdir())).filter((name) => name.startsWith('dbackup-mysql-'));
      await until(async () => (await secret()).length === 0, 120_000);
      assert.equal(runs.children().length, 1, 'the tool has ended already');
    });
    const { result } = await runs.run(source);
    assert.equal(result.state, 'succeeded', String(result.artifacts[0]?.error));
    assert.ok(looked);
  });

  it('and the other databases are saved', async () => {
    const folder = await runs.tools('case "$*" in *tiny7) exit 9;; esac; exec "$REAL" "$@"');
    const { result, files } = await runs.run(sourceOf(['tiny?'], folder));
    assert.equal(result.state, 'partial');
    const failed = result.artifacts.filter(({ error }) => error !== undefined);
    assert.deepEqual(
      failed.map(({ database }) => database),
      ['tiny7'],
    );
    assert.equal(files.filter((file) => file.endsWith('.sql')).length, 9);
    assert.ok(!files.some((file) => file.includes('tiny7')));
  });

  it('is told what it said on stderr, as warnings', async () => {
    const folder = await runs.tools('echo "a word of warning" >&2; exec "$REAL" "$@"');
    const { result } = await runs.run(sourceOf(['tiny1'], folder));
    assert.equal(result.state, 'succeeded', String(result.artifacts[0]?.error));
    const [artifact] = result.destinations[0]?.set?.manifest.artifacts ?? [];
    assert.ok(artifact?.status === 'ok');
    assert.deepEqual(artifact.warnings, ['a word of warning']);
  });

  it('is not found: nothing is opened', async () => {
    const empty = await runs.folder('empty');
    await assert.rejects(
      sourceOf(['shop'], empty).prepare?.(new AbortController().signal) ?? Promise.resolve(),
      {
        code: 'unavailable',
        message: /^No mariadb-dump or mysqldump that works was found in .*: correct the folder/,
      },
    );
    await runs.requireFailure(sourceOf(['shop'], empty), 'unavailable', /No mariadb-dump/);
  });
});
