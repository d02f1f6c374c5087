import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { chmod, mkdir, mkdtemp, realpath, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import fc from 'fast-check';
import { selectDatabases } from '../../lib/sources/sqlite/files.ts';
import { expandPattern } from '../../lib/sources/sqlite/glob.ts';
import { readSqliteOptions } from '../../lib/sources/sqlite/options.ts';

describe('the selection of SQLite files', () => {
  let folder: string;

  beforeEach(async () => {
    folder = await realpath(await mkdtemp(join(tmpdir(), 'dbackup-sqlite-files-')));
  });
  afterEach(async () => await rm(folder, { recursive: true, force: true }));

  async function create(...names: string[]): Promise<void> {
    for (const name of names) {
      await mkdir(dirname(join(folder, name)), { recursive: true });
      await writeFile(join(folder, name), name);
    }
  }

  async function select(...patterns: string[]): Promise<string[]> {
    const found = await selectDatabases(patterns.map((pattern) => join(folder, pattern)));
    return found.map(({ id }) => id.slice(folder.length + 1));
  }

  it('takes paths in their order, and patterns sorted', async () => {
    await create('c.db', 'a.db', 'b.db', 'a.txt');
    assert.deepEqual(await select('c.db', '*.db'), ['c.db', 'a.db', 'b.db']);
    assert.deepEqual(await select('*.{txt,db}'), ['a.db', 'a.txt', 'b.db', 'c.db']);
  });

  it('leaves out the files beside a database, but not when they are named', async () => {
    await create('a.db', 'a.db-wal', 'a.db-shm', 'a.db-journal', 'b-journal.db');
    assert.deepEqual(await select('*'), ['a.db', 'b-journal.db']);
    assert.deepEqual(await select('a.db-wal'), ['a.db-wal']);
  });

  it('lists a path where nothing is, and fails for a pattern that matches nothing', async () => {
    await create('a.db-wal', 'folder.db/file');
    assert.deepEqual(await select('missing.db'), ['missing.db']);
    await assert.rejects(select('*.sqlite'), {
      code: 'not-found',
      message: /\*\.sqlite matches no database file/,
    });
    await assert.rejects(select('*.db*'), { code: 'not-found' });
    await assert.rejects(select('nowhere/*.db'), { code: 'not-found' });
  });

  it('takes a path literally when a file has that very name', async () => {
    await create('a[1].db', 'a1.db');
    assert.deepEqual(await select('a[1].db'), ['a[1].db']);
    assert.deepEqual(await select('a[12].db'), ['a1.db']);
  });

  it('does not follow links to folders below **, so that a circle does not hang it', async () => {
    await create('one/a.db');
    await symlink('..', join(folder, 'one', 'circle'));
    assert.deepEqual(await select('**/*.db'), ['one/a.db']);
    assert.deepEqual(await select('*/circle/one/*.db'), ['one/circle/one/a.db']);
  });

  it('tells an unreadable folder from an empty one', async function () {
    await create('open/a.db', 'closed/b.db');
    await chmod(join(folder, 'closed'), 0);
    if (process.getuid?.() === 0) return expectRefusalAsNobody(this, folder);
    await assert.rejects(select('**/*.db'), { code: 'permission', message: /closed cannot be listed/ });
  });

  it('names each by its base name, and by its folders where two are equal', async () => {
    await create('shop/data.db', 'blog/data.db', 'blog/users.db', 'old/blog/data.db');
    const found = await selectDatabases([join(folder, '**/*.db')]);
    assert.deepEqual(
      found.map(({ name }) => name),
      [join(folder.split('/').at(-1) ?? '', 'blog/data.db'), 'users.db', 'old/blog/data.db', 'shop/data.db'],
    );
  });

  it('tells the size of each', async () => {
    await create('12345.db');
    const [found] = await selectDatabases([join(folder, '*.db')]);
    assert.equal(found?.bytes, 8);
  });

  it('matches as a shell does', async () => {
    const names = ['a', 'b', 'ab', 'a.db', '.a.db', 'b.db', 'ab.db', 'ba.db', 'é.db', 'a-b.db', 'a]b.db'];
    await create(
      ...names,
      ...names.map((name) => `d/${name}`),
      ...names.map((name) => `d/.e/${name}`),
      'a.d/f/a.db',
    );
    const piece = fc.constantFrom(
      '*',
      '**',
      '?',
      'a',
      'b',
      '.db',
      '[ab]',
      '[!a]',
      '[a-c]',
      '{a,b}',
      '.',
      'd',
      '-',
      'é',
    );
    const segment = fc.array(piece, { minLength: 1, maxLength: 3 }).map((pieces) => pieces.join(''));
    const pattern = fc.array(fc.oneof(segment, fc.constant('**'), fc.constant('d')), {
      minLength: 1,
      maxLength: 3,
    });
    await fc.assert(
      fc.asyncProperty(pattern, async (segments) => {
        const joined = segments.join('/');
        fc.pre(!/(^|\/)\.{1,2}(\/|$)/.test(joined));
        const found = await expandPattern(`${folder}/${joined}`);
        assert.deepEqual(found, shellMatches(folder, joined), joined);
      }),
      { numRuns: 150 },
    );
  });
});

describe('the options of the SQLite source', () => {
  it('have defaults', () => {
    assert.deepEqual(readSqliteOptions({ files: [' /data/a.db '] }), {
      files: ['/data/a.db'],
      method: 'auto',
      spoolDirectory: '',
      pagesPerStep: 4096,
      busyTimeout: 10,
      walGrowthLimit: 64,
      countRows: true,
    });
  });

  it('are refused with the name of what is wrong', () => {
    assert.throws(() => readSqliteOptions({ files: [] }), { code: 'invalid-config', message: /files/ });
    assert.throws(() => readSqliteOptions({ files: ['a'], pagesPerStep: 0 }), { message: /pagesPerStep/ });
  });
});

/** The regular files that bash finds. */
function shellMatches(folder: string, pattern: string): string[] {
  const script = `shopt -s globstar nullglob; cd "$1"; for file in ${pattern}; do [ -f "$file" ] && printf '%s\\0' "$file"; done; true`;
  const output = execFileSync('bash', ['-c', script, 'bash', folder], {
    encoding: 'utf8',
    env: { ...process.env, LC_ALL: 'C.UTF-8' },
  });
  const names = output.split('\0').filter((name) => name !== '');
  return [...new Set(names.map((name) => join(folder, name)))].sort();
}

/** Root may list every folder, so somebody else has to try. */
function expectRefusalAsNobody(context: Mocha.Context, folder: string): void {
  const module = join(import.meta.dirname, '../../lib/sources/sqlite/glob.ts');
  const script = `
    const { expandPattern } = await import(${JSON.stringify(module)});
    process.setuid(65534);
    await expandPattern(${JSON.stringify(`${folder}/**/*.db`)}).then(
      () => console.log('listed'),
      (error) => console.log(error.code, error.message),
    );`;
  execFileSync('chmod', ['755', folder]);
  const output = execFileSync(process.execPath, ['--input-type=module', '--eval', script], {
    encoding: 'utf8',
  });
  assert.match(output, /^permission .*closed cannot be listed/, context.test?.title);
}
