import assert from 'node:assert/strict';
import {
  copyFileSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { inspectSampleDatabase } from '../../demo/sample-database.ts';
import { generateAgeIdentity } from '../../lib/keys/age-identity.ts';
import { backupFlow, MASTER_KEY, RunnerWorkspace } from '../support/runner-flows.ts';
import { dbackup, type Finished } from '../support/runner-process.ts';

describe('dbackup on stored sets', function () {
  this.timeout(240_000);
  let work: RunnerWorkspace;
  let id: string;

  before(async () => {
    work = new RunnerWorkspace();
    const { code, stderr } = await dbackup(['run', work.flow()], { env: work.env() });
    assert.equal(code, 0, stderr);
    id = onlyIn(join(work.first, 'shop'));
  });

  after(() => work.remove());

  const call = (args: readonly string[], env: NodeJS.ProcessEnv = {}) =>
    dbackup(args, { env: work.env(env), cwd: work.root });
  const set = () => ['--storage', work.first, `shop/${id}`];

  describe('list', () => {
    it('shows the sets of a storage that is given directly, as a path or a URL', async () => {
      for (const storage of [work.first, `file://${work.first}`, 'first']) {
        const { code, stdout } = await call(['list', '--storage', storage]);
        assert.equal(code, 0);
        const [header, row, ...others] = stdout.trimEnd().split('\n');
        assert.match(header ?? '', /^SET +STARTED +STATUS +DATABASES +RAW +STORED$/);
        assert.match(row ?? '', new RegExp(`^shop/${id} +\\d{4}-.* complete +1 +2\\.\\d MB`));
        assert.deepEqual(others, []);
      }
    });

    it('finds the storage in a flow file, by name and by id, with its folder', async () => {
      const flow = work.flow();
      for (const name of ['far', 'disk2']) {
        const { code, stdout, stderr } = await call(['list', '--flow', flow, '--storage', name, '--json']);
        assert.equal(code, 0, stderr);
        const answer = JSON.parse(stdout);
        assert.equal(answer.sets.length, 1);
        assert.equal(answer.sets[0].set, name === 'far' ? `shop/${id}` : `deep/er/shop/${id}`);
        assert.deepEqual(answer.unreadable, []);
      }
      const unclear = await call(['list', '--flow', flow]);
      assert.equal(unclear.code, 2);
      assert.match(unclear.stderr, /choose one with --storage \("near" .*, "far" /);
      const wrong = await call(['list', '--flow', flow, '--storage', 'attic']);
      assert.equal(wrong.code, 2);
      assert.match(wrong.stderr, /"attic" names 0 nodes/);
    });

    it('says so when there is nothing, and knows it from a storage that is not there', async () => {
      mkdirSync(join(work.root, 'empty'), { recursive: true });
      const empty = await call(['list', '--storage', join(work.root, 'empty')]);
      assert.equal(empty.code, 0);
      assert.match(empty.stdout, /No backup sets in file:/);
      const gone = await call(['list', '--storage', join(work.root, 'gone')]);
      assert.equal(gone.code, 1);
      assert.match(gone.stderr, /gone does not exist/);
      assert.equal(gone.stdout, '');
    });

    it('refuses storages that it cannot know', async () => {
      for (const [args, message] of [
        [['list'], /No storage is given/],
        [['list', '--storage', 'gopher://x/y'], /scheme "gopher" is not known/],
      ] as const) {
        const { code, stderr } = await call(args);
        assert.equal(code, 2);
        assert.match(stderr, message);
      }
    });

    it('shows a set that cannot be read as such, and fails', async () => {
      const copy = copyOfStorage(work, 'damaged-manifest');
      writeFileSync(join(copy, 'shop', id, 'manifest.json'), '{"format":');
      const { code, stdout } = await call(['list', '--storage', copy]);
      assert.equal(code, 1);
      assert.match(stdout, new RegExp(`shop/${id} .* unreadable: .*manifest`));
      const latest = await call(['show', 'latest', '--storage', copy]);
      assert.equal(latest.code, 1);
      assert.match(latest.stderr, /newest set .* cannot be read/);
    });
  });

  describe('show', () => {
    it('tells what a set holds, by path, id and as the latest', async () => {
      for (const name of [`shop/${id}`, id, 'latest']) {
        const { code, stdout } = await call(['show', '--storage', work.first, name]);
        assert.equal(code, 0);
        assert.match(stdout, new RegExp(`^Set +${id} \\(complete\\)$`, 'm'));
        assert.match(stdout, /^Steps +zstd level 3, encrypted \(dbk, vault key \S+ version 1\)$/m);
        assert.match(stdout, /^Proof +quick_check ok/m);
      }
    });

    it('gives the manifest as it is', async () => {
      const { stdout } = await call(['show', ...set(), '--json']);
      assert.deepEqual(JSON.parse(stdout), JSON.parse(readFileSync(manifestOf(work.first, id), 'utf8')));
    });

    it('says when there is no such set', async () => {
      for (const name of ['shop/20200101T000000Z_00000000', '20200101T000000Z_00000000']) {
        const { code, stderr } = await call(['show', '--storage', work.first, name]);
        assert.equal(code, 1);
        assert.match(stderr, /20200101T000000Z_00000000/);
      }
      const job = await call(['show', 'latest', '--job', 'wiki', '--storage', work.first]);
      assert.equal(job.code, 1);
      assert.match(job.stderr, /no backup sets of the job wiki/);
    });

    it('does not leave the storage', async () => {
      const { code, stderr } = await call(['show', '--storage', join(work.first, 'shop'), `../shop/${id}`]);
      assert.notEqual(code, 0);
      assert.match(stderr, /not a valid object path/);
    });
  });

  describe('verify', () => {
    for (const level of ['manifest', 'hash', 'content']) {
      it(`finds nothing wrong at level ${level}`, async () => {
        const { code, stdout } = await call(['verify', ...set(), '--level', level]);
        assert.equal(code, 0);
        assert.match(stdout, new RegExp(`holds \\(level ${level}\\)`));
      });
    }

    it('needs no keys for hashes, and names the key that it lacks for the content', async () => {
      const away = { DBACKUP_DATA: join(work.root, 'elsewhere'), DBACKUP_MASTER_KEY: undefined };
      assert.equal((await call(['verify', ...set()], away)).code, 0);
      const { code, stdout } = await call(['verify', ...set(), '--level', 'content'], away);
      assert.equal(code, 1);
      assert.match(stdout, /^FAILED .*key/m);
    });

    it('tells the file that is damaged, the one that is cut, and the one that is gone', async () => {
      for (const [what, act, messages] of [
        ['flipped', flipByte, [/holds/, /SHA-256|hash/i, /SHA-256|hash|authentic|damaged/i]],
        ['cut', cutFile, [/bytes/, /bytes|ends/i, /bytes|ends|cut/i]],
        ['gone', rmSync, [/missing/, /not exist|missing/i, /not exist|missing/i]],
      ] as const) {
        const copy = copyOfStorage(work, what);
        act(artifactOf(copy, id));
        for (const [at, level] of ['manifest', 'hash', 'content'].entries()) {
          const { code, stdout } = await call(['verify', '--storage', copy, id, '--level', level]);
          const blind = what === 'flipped' && level === 'manifest';
          assert.equal(code, blind ? 0 : 1, `${what} ${level}: ${stdout}`);
          assert.match(stdout, messages[at] ?? /^$/, `${what} ${level}`);
        }
      }
    });

    it('reports a partial set as partial, and as JSON', async () => {
      const partial = await partialStorage(work);
      const { code, stdout, stderr } = await call(['verify', 'latest', '--storage', partial, '--json']);
      assert.equal(code, 5);
      const answer = JSON.parse(stdout);
      assert.equal(answer.ok, true);
      assert.equal(answer.status, 'partial');
      assert.match(stderr, /broken\.sqlite: not in this set, its dump failed/);
    });
  });

  describe('restore', () => {
    let target: string;

    beforeEach(() => {
      mkdirSync(join(work.root, 'restored'), { recursive: true });
      target = join(work.root, 'restored', 'shop.sqlite');
    });

    afterEach(() => rmSync(join(work.root, 'restored'), { recursive: true, force: true }));

    const restore = (args: readonly string[], env: NodeJS.ProcessEnv = {}) =>
      call(['restore', ...args, '--to', target], env);

    it('gives back the database', async () => {
      const { code, stdout, stderr } = await restore(set());
      assert.equal(code, 0, stderr);
      assert.match(stdout, /restored to .*shop\.sqlite/);
      assert.deepEqual(inspectSampleDatabase(target), inspectSampleDatabase(work.database));
    });

    it('overwrites only when told, and keeps what was there unless told otherwise', async () => {
      writeFileSync(target, 'something else');
      const refused = await restore(set());
      assert.notEqual(refused.code, 0);
      assert.match(refused.stderr, /shop\.sqlite/);
      assert.equal(readFileSync(target, 'utf8'), 'something else');
      const { code, stdout } = await restore([...set(), '--overwrite', '--json']);
      assert.equal(code, 0);
      const { safetyCopy } = JSON.parse(stdout);
      assert.equal(readFileSync(safetyCopy, 'utf8'), 'something else');
      rmSync(safetyCopy);
      assert.equal((await restore([...set(), '--overwrite', '--no-safety-copy'])).code, 0);
      assert.deepEqual(
        readdirSync(join(work.root, 'restored')).filter((name) => !/-(wal|shm)$/.test(name)),
        ['shop.sqlite'],
      );
      assert.equal(inspectSampleDatabase(target).integrity, 'ok');
    });

    it('opens with the key file of a recovery kit, on a host that has nothing else', async () => {
      const directory = join(work.root, 'kit-for-restore');
      assert.equal((await call(['kit', directory, '--plain'])).code, 0);
      const away = { DBACKUP_DATA: join(work.root, 'elsewhere'), DBACKUP_MASTER_KEY: undefined };
      const { code, stderr } = await restore(
        [...set(), '--keys', join(directory, 'dbackup-keys.json')],
        away,
      );
      assert.equal(code, 0, stderr);
    });

    for (const [what, env, message] of [
      ['a missing key', { DBACKUP_DATA: '/nowhere/at/all' }, /key/],
      ['a closed vault', { DBACKUP_MASTER_KEY: undefined }, /vault .* is closed: set DBACKUP_MASTER_KEY/],
      ['a wrong master key', { DBACKUP_MASTER_KEY: 'not the right master key' }, /does not open the vault/],
    ] as const) {
      it(`says that it has ${what}, and leaves nothing`, async () => {
        const { code, stderr } = await restore(set(), env);
        assert.equal(code, 1);
        assert.match(stderr, message);
        assert.equal(stderr.trim().split('\n').length, 1, 'one clear line');
        assert.deepEqual(readdirSync(join(work.root, 'restored')), []);
      });
    }

    it('releases nothing of a damaged file', async () => {
      const copy = copyOfStorage(work, 'damaged-restore');
      flipByte(artifactOf(copy, id));
      const { code, stderr } = await restore(['--storage', copy, id]);
      assert.equal(code, 1);
      assert.match(stderr, /damaged|authentic|SHA-256/i);
      assert.deepEqual(readdirSync(join(work.root, 'restored')), []);
    });

    it('names what a set holds when the database is not in it, and why one is missing', async () => {
      const unknown = await restore([...set(), '--database', 'wiki.sqlite']);
      assert.equal(unknown.code, 1);
      assert.match(unknown.stderr, /holds no database wiki\.sqlite: there is shop\.sqlite/);
      const partial = await partialStorage(work);
      const failed = await restore(['latest', '--storage', partial, '--database', 'broken.sqlite']);
      assert.equal(failed.code, 1);
      assert.match(failed.stderr, /The dump of broken\.sqlite failed/);
    });

    it('refuses a place that is not there', async () => {
      target = join(work.root, 'restored', 'no', 'such', 'folder', 'x.sqlite');
      const { code, stderr } = await restore(set());
      assert.notEqual(code, 0);
      assert.match(stderr, /no\/such\/folder/);
    });

    it('needs to know where to', async () => {
      const { code, stderr } = await call(['restore', ...set()]);
      assert.equal(code, 2);
      assert.match(stderr, /is a SQLite database: say which file it is to be restored into/);
    });
  });

  describe('decrypt', () => {
    const out = () => join(work.root, 'plain');

    afterEach(() => rmSync(out(), { force: true }));

    it('gives back what was encrypted, and with --decompress the database', async () => {
      const file = artifactOf(work.first, id);
      const compressed = await call(['decrypt', file, out()]);
      assert.equal(compressed.code, 0, compressed.stderr);
      assert.equal(readFileSync(out()).readUInt32LE(0), 0xfd2fb528, 'a zstd frame');
      rmSync(out());
      assert.equal((await call(['decrypt', file, out(), '--decompress'])).code, 0);
      assert.deepEqual(inspectSampleDatabase(out()), inspectSampleDatabase(work.database));
      for (const suffix of ['-wal', '-shm']) rmSync(out() + suffix, { force: true });
    });

    it('overwrites nothing', async () => {
      writeFileSync(out(), 'mine');
      const { code, stderr } = await call(['decrypt', artifactOf(work.first, id), out()]);
      assert.equal(code, 1);
      assert.match(stderr, /exists already/);
      assert.equal(readFileSync(out(), 'utf8'), 'mine');
    });

    it('leaves nothing of a file that is damaged at its end', async () => {
      const copy = copyOfStorage(work, 'damaged-decrypt');
      const file = artifactOf(copy, id);
      cutFile(file);
      const { code, stderr } = await call(['decrypt', file, out()]);
      assert.equal(code, 1);
      assert.match(stderr, /ends|cut|incomplete|truncated/i);
      assert.equal(existsSync(out()), false);
      assert.deepEqual(
        readdirSync(work.root).filter((name) => name.startsWith('.plain')),
        [],
      );
    });

    it('tells a file of another kind, and one that is not there', async () => {
      const other = await call(['decrypt', work.database, out()]);
      assert.equal(other.code, 1);
      assert.match(other.stderr, /neither a \.dbk nor an age file/);
      const gone = await call(['decrypt', join(work.root, 'gone.dbk'), out()]);
      assert.equal(gone.code, 1);
      assert.match(gone.stderr, /gone\.dbk cannot be read/);
    });
  });

  describe('other keys', () => {
    it('a passphrase: from a file, from the environment; a wrong one is refused', async () => {
      const key = { kind: 'passphrase' };
      const flow = work.flow({ file: 'secret.json', key });
      const secret = work.write('passphrase', 'correct horse battery\n');
      work.write('secret_cred.json', { key: { passphrase: variable('SHOP_PASSPHRASE') } });
      const ran = await call(['run', flow], { SHOP_PASSPHRASE_FILE: secret });
      assert.equal(ran.code, 0, ran.stderr);
      const content = ['verify', 'latest', '--storage', work.first, '--level', 'content'];
      assert.equal((await call([...content, '--passphrase-file', secret])).code, 0);
      assert.equal((await call(content, { DBACKUP_PASSPHRASE: 'correct horse battery' })).code, 0);
      const byFlow = ['verify', 'latest', '--flow', flow, '--storage', 'near', '--level', 'content'];
      const fromFlow = await call(byFlow, { SHOP_PASSPHRASE_FILE: secret });
      assert.equal(fromFlow.code, 0, fromFlow.stdout + fromFlow.stderr);
      // What a storage does not need is not asked for.
      assert.equal((await call(['list', '--flow', flow, '--storage', 'near'])).code, 0);
      const wrong = await call(content, { DBACKUP_PASSPHRASE: 'wrong horse battery' });
      assert.equal(wrong.code, 1);
      assert.match(wrong.stdout, /passphrase/);
      assert.doesNotMatch(wrong.stdout + wrong.stderr, /wrong horse/);
      const none = await call(content);
      assert.equal(none.code, 1);
      assert.match(none.stdout, /passphrase/);
    });

    it('age: the host that backs up needs no secret, the one that restores the identity', async () => {
      const { identity, recipient } = await generateAgeIdentity();
      const flow = work.flow({
        file: 'age.json',
        key: { kind: 'age', recipients: [recipient] },
        format: 'age',
      });
      assert.equal((await call(['run', flow])).code, 0);
      const file = work.write('identity.txt', `# a comment\n${identity}\n`);
      const content = ['verify', 'latest', '--storage', work.first, '--level', 'content'];
      assert.equal((await call([...content, '--identity', file])).code, 0);
      assert.equal((await call(content)).code, 1);
      const other = work.write('other.txt', `${(await generateAgeIdentity()).identity}\n`);
      assert.equal((await call([...content, '--identity', other])).code, 1);
      const bad = await call([...content, '--identity', work.write('bad.txt', 'nonsense')]);
      assert.equal(bad.code, 2);
      assert.doesNotMatch(bad.stderr, /nonsense/);
    });
  });

  describe('keys', () => {
    it('are made and listed without their bytes', async () => {
      const made = await call(['key', 'create', 'second', '--json']);
      assert.equal(made.code, 0, made.stderr);
      const again = await call(['key', 'create', 'second']);
      assert.equal(again.code, 1);
      assert.match(again.stderr, /has a key named 'second' already/);
      const { stdout } = await call(['key', 'list', '--json']);
      const { keys } = JSON.parse(stdout);
      assert.deepEqual(
        keys.map(({ name }: { name: string }) => name),
        ['main', 'second'],
      );
      assert.doesNotMatch(stdout, /"key":|"wrapped"/);
      assert.match((await call(['key', 'list'])).stdout, /^NAME +ID +CREATED +VERSION\nmain +vk-/);
    });

    it('are not touched without the master secret', async () => {
      const none = await call(['key', 'list'], { DBACKUP_MASTER_KEY: undefined });
      assert.equal(none.code, 2);
      assert.match(none.stderr, /DBACKUP_MASTER_KEY/);
      const wrong = await call(['key', 'list'], { DBACKUP_MASTER_KEY: `${MASTER_KEY}!` });
      assert.equal(wrong.code, 1);
      assert.match(wrong.stderr, /does not open the vault/);
      assert.doesNotMatch(wrong.stderr, new RegExp(MASTER_KEY));
    });

    it('leave in a kit only when someone chose how they are protected', async () => {
      const directory = join(work.root, 'kit');
      const unclear = await call(['kit', directory]);
      assert.equal(unclear.code, 2);
      assert.equal(existsSync(directory), false);
      const secret = work.write('kit-passphrase', 'kept apart from the kit');
      const made = await call(['kit', directory, '--key', 'main', '--passphrase-file', secret, '--json']);
      assert.equal(made.code, 0, made.stderr);
      assert.deepEqual(readdirSync(directory).sort(), [
        'README.md',
        'dbackup-decrypt.mjs',
        'dbackup-keys.json',
      ]);
      const keys = ['--keys', join(directory, 'dbackup-keys.json')];
      const away = { DBACKUP_DATA: join(work.root, 'elsewhere') };
      const content = ['verify', `shop/${id}`, '--storage', work.first, '--level', 'content', ...keys];
      assert.equal((await call([...content, '--passphrase-file', secret], away)).code, 0);
      const closed = await call(content, away);
      assert.equal(closed.code, 1);
      assert.match(closed.stderr, /protected by a passphrase/);
      assert.equal((await call(['kit', directory, '--plain'])).code, 1);
    });
  });
});

/** `${NAME}`, as a credentials file writes it. */
function variable(name: string): string {
  return `\${${name}}`;
}

function onlyIn(folder: string): string {
  const [name, ...others] = readdirSync(folder);
  assert.ok(name !== undefined && others.length === 0, `one entry in ${folder}`);
  return name;
}

function manifestOf(storage: string, id: string): string {
  return join(storage, 'shop', id, 'manifest.json');
}

function artifactOf(storage: string, id: string): string {
  const folder = join(storage, 'shop', id);
  const [file, ...others] = readdirSync(folder).filter((name) => /\.(dbk|age|zst)$/.test(name));
  assert.ok(file !== undefined && others.length === 0);
  return join(folder, file);
}

/** A copy of the first storage, to be damaged. */
function copyOfStorage(work: RunnerWorkspace, name: string): string {
  const copy = join(work.root, name);
  for (const entry of readdirSync(work.first, { recursive: true, withFileTypes: true, encoding: 'utf8' })) {
    const folder = entry.parentPath.replace(work.first, copy);
    mkdirSync(folder, { recursive: true });
    if (entry.isFile()) copyFileSync(join(entry.parentPath, entry.name), join(folder, entry.name));
  }
  return copy;
}

function flipByte(file: string): void {
  const bytes = readFileSync(file);
  bytes[bytes.length >> 1] = (bytes[bytes.length >> 1] ?? 0) ^ 1;
  writeFileSync(file, bytes);
}

function cutFile(file: string): void {
  const bytes = readFileSync(file);
  writeFileSync(file, bytes.subarray(0, bytes.length - 100));
}

/** A storage with one set in which one of two databases failed. */
async function partialStorage(work: RunnerWorkspace): Promise<string> {
  const storage = join(work.root, 'partial');
  if (existsSync(storage)) return storage;
  mkdirSync(storage);
  const broken = work.write('broken.sqlite', 'this is not a database '.repeat(300));
  const places = { database: work.database, first: storage, second: work.second };
  const flow = work.write('partial.json', backupFlow(places, { key: null, files: [work.database, broken] }));
  const { code }: Finished = await dbackup(['run', flow], { env: work.env() });
  assert.equal(code, 5);
  return storage;
}
