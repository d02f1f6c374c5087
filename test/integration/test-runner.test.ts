import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

const REPOSITORY = join(import.meta.dirname, '../..');
const SKIP = join(REPOSITORY, 'test/support/skip.ts');

describe('the test runner', () => {
  let folder: string;

  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), 'dbackup-runner-'));
  });

  afterEach(async () => await rm(folder, { recursive: true, force: true }));

  async function run(body: string, environment: Record<string, string> = {}) {
    const file = join(folder, 'sample.test.ts');
    await writeFile(file, `import { skipBecause } from '${SKIP}';\nvoid skipBecause;\n${body}`);
    const { DBACKUP_TEST_NO_SKIP: _, DBACKUP_TEST_RESULTS: __, ...inherited } = process.env;
    const { status, stdout } = spawnSync(process.execPath, [join(REPOSITORY, 'test/run.ts'), file], {
      env: { ...inherited, ...environment },
      encoding: 'utf8',
    });
    return { status, text: stdout, last: stdout.trimEnd().split('\n').at(-1) };
  }

  const skipped = `
    describe('suite', () => {
      before(function () { skipBecause(this, 'no such server here'); });
      it('one', () => {});
      it('two', () => {});
    });
    it('alone', function () { skipBecause(this, 'foreign suite: the server is away'); });
    it('passes', () => {});`;

  it('ends with the three numbers, and with success', async () => {
    const { status, last } = await run(`it('a', () => {}); it('b', () => {});`);
    assert.equal(last, '2 passed, 0 failed, 0 skipped');
    assert.equal(status, 0);
  });

  it('prints failures in full', async () => {
    const { status, text, last } = await run(
      `describe('x', () => it('y', () => { throw new Error('first\\nlast line'); }));`,
    );
    assert.equal(last, '0 passed, 1 failed, 0 skipped');
    assert.match(text, /FAILED x › y\nError: first\nlast line\n +at /);
    assert.notEqual(status, 0);
  });

  it('names what is skipped, and why', async () => {
    const { status, text, last } = await run(skipped);
    assert.equal(last, '1 passed, 0 failed, 3 skipped');
    assert.match(text, /SKIPPED suite › one\n +because: no such server here/);
    assert.match(text, /SKIPPED alone\n +because: foreign suite/);
    assert.equal(status, 0);
  });

  it('fails on a skipped test where skipping is forbidden, but for foreign suites', async () => {
    const { status, last } = await run(skipped, { DBACKUP_TEST_NO_SKIP: '1' });
    assert.equal(last, '1 passed, 2 failed, 1 skipped');
    assert.notEqual(status, 0);
  });

  it('fails when no test was executed', async () => {
    const { status, last } = await run('');
    assert.equal(last, '0 passed, 1 failed, 0 skipped');
    assert.notEqual(status, 0);
  });

  it('fails when the process ends before its tests do', async () => {
    const { status, text, last } = await run(
      `it('a', () => {}); it('b', () => process.exit(0)); it('c', () => {});`,
    );
    assert.equal(last, '1 passed, 1 failed, 0 skipped');
    assert.match(text, /ended by itself/);
    assert.notEqual(status, 0);
  });

  it('fails when a hook does', async () => {
    const { status, last } = await run(`before(() => { throw new Error('no'); }); it('a', () => {});`);
    assert.equal(last, '0 passed, 1 failed, 0 skipped');
    assert.notEqual(status, 0);
  });
});
