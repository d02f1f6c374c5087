import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { chmod, mkdir, mkdtemp, rm, symlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { skipBecause } from '../support/skip.ts';
import { OtherProcess } from '../support/sqlite-connection.ts';
import { SqliteFolder } from '../support/sqlite-folder.ts';

const run = promisify(execFile);
const ROOT = join(import.meta.dirname, '../..');
const NOBODY = 65_534;

/** Dumps the file that is named first, and prints what came of it. */
const DUMP = `
const { createSqliteSource } = await import(process.env.MODULE);
const [file, spoolDirectory] = process.argv.slice(-2);
const { signal } = new AbortController();
try {
  const source = createSqliteSource({ files: [file], spoolDirectory });
  const dump = await source.dump({ id: file, name: 'file' }, signal);
  let bytes = 0;
  for await (const chunk of dump.stream) bytes += chunk.length;
  const { facts } = await dump.proof;
  console.log(facts.method, bytes === dump.expectedBytes, bytes === facts.bytes);
} catch (error) {
  console.log(error.code, error.message);
}`;

describe('the SQLite source in its surroundings', function () {
  this.timeout(240_000);
  let folder: SqliteFolder;

  beforeEach(async () => {
    folder = await SqliteFolder.create();
    await chmod(folder.path, 0o755);
    await chmod(folder.spool, 0o777);
  });
  afterEach(async () => await folder.remove());

  async function dump(
    file: string,
    options: { module?: string; flags?: string[]; before?: string } = {},
  ): Promise<string> {
    const module = options.module ?? join(ROOT, 'lib/sources/sqlite/sqlite-source.ts');
    const script = `${options.before ?? ''}${DUMP}`;
    const flags = [...(options.flags ?? []), '--input-type=module', '--eval', script];
    const env = { ...process.env, MODULE: module };
    const { stdout } = await run(process.execPath, [...flags, '--', file, folder.spool], { env, cwd: ROOT });
    return stdout.trim();
  }

  describe('run by a user who may only read', () => {
    const asNobody = { before: `process.setgid(${NOBODY}); process.setuid(${NOBODY});` };

    before(function () {
      if (process.getuid?.() !== 0) skipBecause(this, 'only root can become another user');
    });

    it('dumps a database in WAL mode that a program has open', async () => {
      const path = folder.database('live.db');
      const other = await OtherProcess.open(path, "UPDATE customers SET name = 'new'");
      assert.equal(await dump(path, asNobody), 'direct true true');
      await other.kill();
    });

    it('dumps a database in WAL mode that a program left when it crashed', async () => {
      const path = folder.database('crashed.db');
      const other = await OtherProcess.open(path, "UPDATE customers SET name = 'new'");
      await other.kill();
      assert.equal(await dump(path, asNobody), 'direct true true');
    });

    it('dumps a database with a rollback journal', async () => {
      assert.equal(
        await dump(folder.database('shop.db', { journalMode: 'delete' }), asNobody),
        'spool true true',
      );
    });

    it('says that SQLite needs write access for a database in WAL mode that nobody has open', async () => {
      const answer = await dump(folder.database('idle.db'), asNobody);
      assert.match(answer, /^permission .*idle\.db .*with write access to the file and its folder/);
    });

    it('says that it may not read a file', async () => {
      const path = folder.database('secret.db');
      await chmod(path, 0o600);
      assert.match(await dump(path, asNobody), /^permission .*secret\.db may not be read/);
    });
  });

  describe('in every kind of host', () => {
    for (const flags of [
      ['--import', 'data:text/javascript,'],
      ['--inspect=0'],
      ['--max-old-space-size=64'],
    ]) {
      it(`started with ${flags.join(' ')}`, async () => {
        assert.equal(await dump(folder.database('shop.db'), { flags }), 'direct true true');
      });
    }

    it('with flags in NODE_OPTIONS that the child could not take', async () => {
      process.env.NODE_OPTIONS = `--require=${join(folder.path, 'only-here.cjs')}`;
      await writeFile(join(folder.path, 'only-here.cjs'), 'if (process.send) process.exit(9);');
      try {
        assert.equal(await dump(folder.database('shop.db')), 'direct true true');
      } finally {
        delete process.env.NODE_OPTIONS;
      }
    });

    it('compiled to JavaScript', async () => {
      const built = await mkdtemp(join(folder.path, 'built-'));
      await symlink(join(ROOT, 'node_modules'), join(built, 'node_modules'));
      await writeFile(join(built, 'package.json'), '{ "type": "module" }');
      await mkdir(join(built, 'out'));
      const config = {
        extends: join(ROOT, 'tsconfig.build.json'),
        compilerOptions: {
          outDir: join(built, 'out'),
          rootDir: ROOT,
          typeRoots: [join(ROOT, 'node_modules/@types')],
        },
        include: ['sqlite-source', 'process', 'worker'].map((name) =>
          join(ROOT, `lib/sources/sqlite/${name}.ts`),
        ),
      };
      await writeFile(join(built, 'tsconfig.json'), JSON.stringify(config));
      await run(join(ROOT, 'node_modules/.bin/tsc'), ['-p', join(built, 'tsconfig.json')]);
      const module = join(built, 'out/lib/sources/sqlite/sqlite-source.js');
      assert.equal(await dump(folder.database('shop.db'), { module }), 'direct true true');
      await rm(built, { recursive: true });
    });
  });

  it('gives the child no secret of the product', async () => {
    const path = folder.database('shop.db', { megabytes: 30 });
    const script = `
      process.env.DBACKUP_MASTER_KEY = 'a secret';
      const { readFileSync, readdirSync } = await import('node:fs');
      const { createSqliteSource } = await import(process.env.MODULE);
      const source = createSqliteSource({ files: [${JSON.stringify(path)}], spoolDirectory: ${JSON.stringify(folder.spool)} });
      const abort = new AbortController();
      const dump = await source.dump({ id: ${JSON.stringify(path)}, name: 'x' }, abort.signal);
      const parent = new RegExp('\\\\) . ' + process.pid + ' ');
      const children = readdirSync('/proc').filter((pid) => {
        try { return parent.test(readFileSync('/proc/' + pid + '/stat', 'latin1')); } catch { return false; }
      });
      const environments = children.map((pid) => readFileSync('/proc/' + pid + '/environ', 'latin1'));
      console.log(children.length, environments.some((each) => /DBACKUP|a secret/.test(each)));
      abort.abort();
      await dump.proof.catch(() => {});`;
    const env = { ...process.env, MODULE: join(ROOT, 'lib/sources/sqlite/sqlite-source.ts') };
    const { stdout } = await run(process.execPath, ['--input-type=module', '--eval', script], { env });
    assert.equal(stdout.trim(), '1 false');
  });
});
