import assert from 'node:assert/strict';
import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, mkdtemp, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as wait } from 'node:timers/promises';
import { BackupError, type ErrorCode } from '../../lib/errors.ts';
import { decodeKeyFile, isProtected } from '../../lib/keys/key-file.ts';
import type { EncryptionKey } from '../../lib/keys/keys.ts';
import { type RecoveryKitRequest, writeRecoveryKit } from '../../lib/keys/recovery-kit.ts';
import { ringFrom } from '../../lib/keys/ring.ts';
import { Vault } from '../../lib/keys/vault.ts';
import { decryptAny } from '../../lib/transforms/decrypt.ts';
import { createEncrypt } from '../../lib/transforms/encrypt.ts';
import { collect, cut, noise, sha256 } from '../support/byte-streams.ts';
import { AGE_IDENTITY, AGE_KEY, PASSPHRASE, PASSPHRASE_KEY } from '../support/keys.ts';
import { typeAtPrompts } from '../support/terminal.ts';

const never = new AbortController().signal;
const KIT_PASSPHRASE = 'the passphrase of the kit';
const PLAIN = { type: 'plain' } as const;
const PROTECTED = { type: 'passphrase', passphrase: KIT_PASSPHRASE } as const;
const RAW = noise(3_000_000);

describe('recovery kit', () => {
  let folder: string;
  let vault: Vault;
  let kits = 0;

  before(async () => {
    folder = await mkdtemp(join(tmpdir(), 'dbackup-kit-'));
    vault = await Vault.create(join(folder, 'vault.json'), 'a master secret for kits');
    const old = await vault.createKey('main');
    await writeFile(join(folder, 'old.dbk'), await seal(old));
    await writeFile(join(folder, 'new.dbk'), await seal(await vault.addVersion('main')));
    await writeFile(join(folder, 'other.dbk'), await seal(await vault.createKey('other')));
    await writeFile(join(folder, 'passphrase.dbk'), await seal(PASSPHRASE_KEY));
  });

  after(async () => {
    await rm(folder, { recursive: true });
  });

  async function seal(key: EncryptionKey): Promise<Buffer> {
    const format = key.type === 'age' ? 'age' : 'dbk';
    return collect(createEncrypt(key, { format }).forward(cut(RAW, 100_000), never).output);
  }

  async function kit(request: Partial<RecoveryKitRequest> = {}): Promise<string> {
    kits += 1;
    const directory = join(folder, `kit ${kits}`);
    await writeRecoveryKit({ directory, vault, keys: 'all', protection: PLAIN, ...request });
    return directory;
  }

  /** Runs the kit's decryptor in its folder, as its README says. */
  function decryptor(
    directory: string,
    args: string[],
    options: { input?: string; env?: NodeJS.ProcessEnv } = {},
  ): { status: number | null; stderr: string } {
    const env = { PATH: process.env.PATH, ...options.env };
    const script = ['dbackup-decrypt.mjs', ...args];
    return spawnSync('node', script, { cwd: directory, input: options.input ?? '', env, encoding: 'utf8' });
  }

  async function assertOpens(directory: string, args: string[], options = {}): Promise<void> {
    const output = join(directory, 'output');
    const { status, stderr } = decryptor(directory, [...args, 'output'], options);
    assert.equal(status, 0, stderr);
    assert.equal(sha256(await readFile(output)), sha256(RAW));
    assert.equal((await stat(output)).mode & 0o777, 0o600);
    await rm(output);
  }

  it('opens the files of every key version with the decryptor alone', async () => {
    const directory = await kit();
    for (const name of ['old.dbk', 'new.dbk', 'other.dbk']) {
      await assertOpens(directory, ['--key-file', 'dbackup-keys.json', `../${name}`]);
    }
  });

  it('holds only the keys that were chosen', async () => {
    const directory = await kit({ keys: ['main'] });
    await assertOpens(directory, ['--key-file', 'dbackup-keys.json', '../new.dbk']);
    const { status, stderr } = decryptor(directory, [
      '--key-file',
      'dbackup-keys.json',
      '../other.dbk',
      'output',
    ]);
    assert.equal(status, 1);
    assert.match(stderr, /missing key, it needs version 1 of the key vk-/);
    assert.deepEqual((await readdir(directory)).sort(), [
      'README.md',
      'dbackup-decrypt.mjs',
      'dbackup-keys.json',
    ]);
  });

  it('opens with its passphrase when it is protected, and with no other', async () => {
    const directory = await kit({ protection: PROTECTED });
    const text = await readFile(join(directory, 'dbackup-keys.json'), 'utf8');
    assert.ok(isProtected(text, 'the kit'));
    const args = ['--key-file', 'dbackup-keys.json', '../new.dbk'];
    await assertOpens(directory, args, { input: `${KIT_PASSPHRASE}\n` });
    await assertOpens(directory, args, { env: { DBACKUP_PASSPHRASE: KIT_PASSPHRASE } });
    const wrong = decryptor(directory, [...args, 'output'], { input: 'not the passphrase\n' });
    assert.equal(wrong.status, 1);
    assert.match(wrong.stderr, /Wrong key: the passphrase does not open dbackup-keys\.json/);
    const none = decryptor(directory, [...args, 'output']);
    assert.match(none.stderr, /No passphrase was given/);
  });

  it('asks for the passphrase on a terminal without showing it', async () => {
    const directory = await kit();
    const script = join(directory, 'dbackup-decrypt.mjs');
    const output = join(directory, 'output');
    const command = ['node', script, '--passphrase', join(folder, 'passphrase.dbk'), output];
    const { code, shown } = await typeAtPrompts(command, [PASSPHRASE]);
    assert.equal(code, 0, shown);
    assert.ok(!shown.includes(PASSPHRASE), 'the passphrase was shown');
    assert.equal(sha256(await readFile(output)), sha256(RAW));
  });

  it('gives keys that the product takes, too', async () => {
    const directory = await kit({ protection: PROTECTED });
    const text = await readFile(join(directory, 'dbackup-keys.json'), 'utf8');
    const keys = await decodeKeyFile(text, 'the kit', KIT_PASSPHRASE);
    assert.deepEqual(
      keys.map(({ name, version }) => [name, version]),
      [
        ['main', 1],
        ['main', 2],
        ['other', 1],
      ],
    );
    const stored = await readFile(join(folder, 'new.dbk'));
    const context = { keys: ringFrom({ keys }), signal: never };
    assert.ok((await collect(decryptAny(cut(stored, 99_999), context))).equals(RAW));
    const fails = (code: ErrorCode) => (error: unknown) =>
      error instanceof BackupError && error.code === code;
    await assert.rejects(decodeKeyFile(text, 'the kit', undefined), fails('missing-key'));
    await assert.rejects(decodeKeyFile(text, 'the kit', 'another passphrase'), fails('wrong-key'));
    await assert.rejects(decodeKeyFile(text.slice(0, -9), 'the kit', KIT_PASSPHRASE), fails('corrupt'));
    await assert.rejects(decodeKeyFile('{}', 'the kit', undefined), fails('corrupt'));
  });

  it('hands out age identities as files that age reads', async () => {
    await writeFile(join(folder, 'file.age'), await seal(AGE_KEY));
    const identities = [AGE_IDENTITY];
    const plain = await kit({ keys: [], identities });
    const opened = spawnSync('age', ['-d', '-i', 'age-identities.txt', '-o', 'output', '../file.age'], {
      cwd: plain,
    });
    assert.equal(opened.status, 0, opened.stderr.toString());
    assert.equal(sha256(await readFile(join(plain, 'output'))), sha256(RAW));
    const guarded = await kit({ keys: [], identities, protection: PROTECTED });
    assert.deepEqual((await readdir(guarded)).sort(), [
      'README.md',
      'age-identities.txt.age',
      'dbackup-decrypt.mjs',
    ]);
    const output = join(guarded, 'output');
    const command = [
      'age',
      '-d',
      '-i',
      join(guarded, 'age-identities.txt.age'),
      '-o',
      output,
      join(folder, 'file.age'),
    ];
    const { code, shown } = await typeAtPrompts(command, [KIT_PASSPHRASE]);
    assert.equal(code, 0, shown);
    assert.equal(sha256(await readFile(output)), sha256(RAW));
  });

  it('explains itself, with commands that work and without secrets', async () => {
    const directory = await kit({ identities: [AGE_IDENTITY], protection: PROTECTED });
    const guide = await readFile(join(directory, 'README.md'), 'utf8');
    const [info] = await vault.listKeys();
    assert.ok(info);
    assert.ok(guide.includes(`| main | \`${info.id}\` | 2 |`));
    assert.ok(!guide.includes(KIT_PASSPHRASE) && !guide.includes(AGE_IDENTITY));
    const command = guide.split('\n').find((line) => line.includes('--key-file'));
    assert.ok(command);
    const line = command.trim().replace('FILE.dbk', '../new.dbk').replace(/FILE$/, 'output');
    const env = { ...process.env, DBACKUP_PASSPHRASE: KIT_PASSPHRASE };
    const { status, stderr } = spawnSync('sh', ['-c', line], { cwd: directory, env, encoding: 'utf8' });
    assert.equal(status, 0, stderr);
    assert.equal(sha256(await readFile(join(directory, 'output'))), sha256(RAW));
  });

  it('is readable by its owner only', async () => {
    const directory = await kit({ identities: [AGE_IDENTITY] });
    assert.equal((await stat(directory)).mode & 0o777, 0o700);
    for (const name of await readdir(directory)) {
      assert.equal((await stat(join(directory, name))).mode & 0o777, 0o600, name);
    }
  });

  it('is refused before anything is written', async () => {
    const cases: [Partial<RecoveryKitRequest>, ErrorCode][] = [
      [{ protection: { type: 'passphrase', passphrase: 'short' } }, 'invalid-config'],
      [{ keys: ['main', 'nobody'] }, 'missing-key'],
      [{ vault: undefined, keys: ['main'] }, 'missing-key'],
      [{ identities: ['AGE-SECRET-KEY-1BROKEN'] }, 'invalid-config'],
    ];
    for (const [request, code] of cases) {
      const directory = join(folder, `refused ${code}`);
      await assert.rejects(kit({ directory, ...request }), (error) => {
        assert.ok(error instanceof BackupError);
        assert.equal(error.code, code);
        return true;
      });
      await assert.rejects(stat(directory));
    }
  });

  it('overwrites nothing', async () => {
    for (const taken of ['README.md', 'dbackup-keys.json', 'dbackup-decrypt.mjs']) {
      const directory = join(folder, `taken ${taken}`);
      await mkdir(directory);
      await writeFile(join(directory, taken), 'mine');
      await assert.rejects(kit({ directory }), /exists already/);
      assert.deepEqual(await readdir(directory), [taken]);
      assert.equal(await readFile(join(directory, taken), 'utf8'), 'mine');
    }
  });

  describe('its decryptor', () => {
    let directory: string;
    const keyFile = ['--key-file', 'dbackup-keys.json'];

    before(async () => {
      directory = await kit({ keys: ['main'] });
      const file = await readFile(join(folder, 'new.dbk'));
      const flipped = Buffer.from(file);
      flipped[2_500_000] = (flipped[2_500_000] ?? 0) ^ 1;
      await writeFile(join(folder, 'flipped.dbk'), flipped);
      await writeFile(join(folder, 'cut.dbk'), file.subarray(0, 2_000_000));
      await writeFile(
        join(folder, 'border.dbk'),
        file.subarray(0, file.readUInt16BE(10) + 2 * (2 ** 20 + 16)),
      );
      await writeFile(join(folder, 'longer.dbk'), Buffer.concat([file, Buffer.from('x')]));
      await writeFile(join(folder, 'header.dbk'), file.subarray(0, 60));
      await writeFile(join(folder, 'broken.json'), '{"keys": [{"key": "c2VjcmV0c2VjcmV0"} oops');
    });

    it('leaves nothing behind and says why when a file does not open', async () => {
      const before = (await readdir(directory)).sort();
      const cases: [string[], RegExp][] = [
        [[...keyFile, '../flipped.dbk', 'output'], /damaged or cut off: chunk 2/],
        [[...keyFile, '../cut.dbk', 'output'], /damaged or cut off: chunk 1/],
        [[...keyFile, '../border.dbk', 'output'], /damaged or cut off: chunk 2/],
        [[...keyFile, '../longer.dbk', 'output'], /damaged or cut off: chunk 2/],
        [[...keyFile, '../header.dbk', 'output'], /header of the file is damaged or cut off/],
        [[...keyFile, '../vault.json', 'output'], /not a \.dbk file/],
        [[...keyFile, '../none.dbk', 'output'], /ENOENT.*none\.dbk/],
        [[...keyFile, '../passphrase.dbk', 'output'], /missing key, it needs the passphrase/],
        [['--passphrase', '../new.dbk', 'output'], /missing key, it needs version 2 of the key vk-/],
        [['--key-file', '../vault.json', '../new.dbk', 'output'], /no key file/],
        [['--key-file', '../broken.json', '../new.dbk', 'output'], /The key file is damaged/],
        [['../new.dbk', 'output'], /Usage/],
        [[...keyFile, '--passphrase', '../new.dbk', 'output'], /Usage/],
        [[...keyFile, '../new.dbk'], /Usage/],
        [['--passphrase=secret', '../new.dbk', 'output'], /does not take an argument/],
      ];
      for (const [args, text] of cases) {
        const { status, stderr } = decryptor(directory, args);
        assert.equal(status, 1, `${args.join(' ')}: ${stderr}`);
        assert.match(stderr, text);
        assert.ok(!/secret|c2VjcmV0/.test(stderr), stderr);
        assert.deepEqual((await readdir(directory)).sort(), before);
      }
    });

    it('tells a wrong passphrase', () => {
      const { status, stderr } = decryptor(directory, ['--passphrase', '../passphrase.dbk', 'output'], {
        input: 'wrong\n',
      });
      assert.equal(status, 1);
      assert.match(stderr, /wrong key, the passphrase does not fit/);
    });

    it('does not overwrite a file', async () => {
      await writeFile(join(directory, 'taken'), 'mine');
      const { status, stderr } = decryptor(directory, [...keyFile, '../new.dbk', 'taken']);
      assert.equal(status, 1);
      assert.match(stderr, /exists already/);
      assert.equal(await readFile(join(directory, 'taken'), 'utf8'), 'mine');
      await rm(join(directory, 'taken'));
    });

    it('removes its partial output when it is interrupted', async () => {
      const pipe = join(folder, 'pipe');
      assert.equal(spawnSync('mkfifo', [pipe]).status, 0);
      const child = spawn('node', ['dbackup-decrypt.mjs', ...keyFile, pipe, 'output'], {
        cwd: directory,
        stdio: 'ignore',
      });
      const closed = once(child, 'close');
      const writer = spawn(
        'sh',
        ['-c', 'head -c 2500000 "$1"; exec sleep 60', 'sh', join(folder, 'new.dbk')],
        {
          stdio: ['ignore', 'pipe', 'ignore'],
        },
      );
      const feed = spawn('sh', ['-c', 'exec cat > "$1"', 'sh', pipe], {
        stdio: [writer.stdout, 'ignore', 'ignore'],
      });
      try {
        while (!(await readdir(directory)).some((name) => name.startsWith('output.partial'))) await wait(10);
        child.kill('SIGINT');
        assert.equal((await closed)[0], 1);
        assert.deepEqual(
          (await readdir(directory)).filter((name) => name.startsWith('output')),
          [],
        );
      } finally {
        for (const each of [writer, feed, child]) each.kill('SIGKILL');
      }
    });

    it('is a short script that needs nothing but Node.js', async () => {
      const script = await readFile(join(directory, 'dbackup-decrypt.mjs'), 'utf8');
      assert.ok(script.split('\n').length <= 150);
      for (const [, module] of script.matchAll(/from '([^']+)'/g)) assert.match(module ?? '', /^node:/);
    });
  });
});
