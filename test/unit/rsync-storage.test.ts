import assert from 'node:assert/strict';
import fc from 'fast-check';
import { chooseBasis, mayHaveBasis } from '../../lib/destinations/rsync/basis.ts';
import { lacksFolder, refusesOption, rsyncFailure } from '../../lib/destinations/rsync/failures.ts';
import { includePath, includeSiblings, includeTree } from '../../lib/destinations/rsync/filters.ts';
import { type ListedEntry, linesOf, parseListLine } from '../../lib/destinations/rsync/list-format.ts';
import { rootArgument, rsyncLocation, rsyncOptions } from '../../lib/destinations/rsync/options.ts';
import { createRsyncDestination } from '../../lib/destinations/rsync/rsync.ts';
import { BackupError } from '../../lib/errors.ts';
import { cut } from '../support/byte-streams.ts';

describe('rsync: its list', () => {
  const parse = (line: string | Buffer) => parseListLine(Buffer.from(line));

  it('reads files, folders, links and others', () => {
    assert.deepEqual(parse('-rw-------          12345 2026/11/22 21:08:36 job/set/a b.sql'), {
      type: 'file',
      bytes: 12345,
      modified: new Date('2026-11-22T21:08:36Z'),
      path: 'job/set/a b.sql',
    });
    assert.equal(parse('drwxr-xr-x        4096 1999/01/02 03:04:05 .').type, 'folder');
    assert.equal(parse('prw-r--r--           0 2026/11/22 21:08:36 pipe').type, 'other');
    const link = parse('lrwxrwxrwx          24 2026/11/22 21:08:36 job/lock -> /rsyncd-munged/x -> y');
    assert.deepEqual([link.type, link.path, link.target], ['link', 'job/lock', '/rsyncd-munged/x -> y']);
    assert.equal(parse('-rw-r--r--  5368709120 2026/11/22 21:08:36 large').bytes, 5 * 1024 ** 3);
  });

  it('resolves escapes, and keeps names that only look alike', () => {
    const path = (name: string | Buffer) =>
      parse(Buffer.concat([Buffer.from('-rw-r--r-- 1 2026/11/22 21:08:36 '), Buffer.from(name)])).path;
    assert.equal(path('a\\#012b'), 'a\nb');
    assert.equal(path('back\\#134#012'), 'back\\#012');
    assert.equal(path('a\\b'), 'a\\b');
    assert.equal(path('データ 🐘'), 'データ 🐘');
    assert.equal(path(' two  blanks '), ' two  blanks ');
    assert.equal(path('\\#303\\#266'), 'ö', 'bytes that were escaped one by one');
    assert.equal(path(Buffer.from([0x61, 0xff])), undefined, 'not UTF-8');
  });

  it('takes nothing for an entry that is none', () => {
    for (const line of [
      '',
      'Welcome to our server',
      '-rw-r--r-- 1,234 2026/11/22 21:08:36 a',
      'created directory x',
    ]) {
      assert.throws(() => parse(line), { code: 'unavailable', message: /cannot be read with certainty/ });
    }
  });

  it('cuts its output into lines, whatever the chunks', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.string().map((text) => text.replaceAll('\n', ' '))),
        fc.boolean(),
        fc.integer({ min: 1, max: 9 }),
        async (texts, ended, size) => {
          const whole = texts.join('\n') + (ended && texts.length > 0 ? '\n' : '');
          const lines: string[] = [];
          for await (const line of linesOf(cut(Buffer.from(whole), size))) lines.push(line.toString());
          const expected = whole === '' ? [] : whole.replace(/\n$/, '').split('\n');
          assert.deepEqual(lines, expected);
        },
      ),
    );
  });
});

describe('rsync: its filters', () => {
  it('let one path through, with the folders that lead to it', () => {
    assert.deepEqual(includePath(['job', 'set', 'a']), ['+ /job', '+ /job/set', '+ /job/set/a']);
    assert.deepEqual(includeTree(['job']), ['+ /job/***']);
    assert.deepEqual(includeTree(['a', 'b']), ['+ /a', '+ /a/b/***']);
    assert.deepEqual(includeTree([]), ['+ /**']);
    assert.deepEqual(includeSiblings(['p', 'job', 'set', 'a']), [
      '+ /p',
      '+ /p/job',
      '+ /p/job/*/',
      '+ /p/job/*/a',
    ]);
    assert.deepEqual(includeSiblings(['set', 'a']), ['+ /*/', '+ /*/a']);
  });

  it('take no name for a pattern', () => {
    assert.deepEqual(includePath(['a*', '[b]?']), ['+ /a\\*', '+ /a\\*/\\[b]\\?']);
    assert.deepEqual(includeTree(['**']), ['+ /\\*\\*/***']);
  });
});

describe('rsync: what it compares with', () => {
  const file = (path: string, day: number, bytes = 1_000_000): ListedEntry => ({
    type: 'file',
    bytes,
    modified: new Date(Date.UTC(2026, 0, day)),
    path,
  });

  it('is the newest file of the same name that is large enough', () => {
    const found = [file('job/1/a', 1), file('job/3/a', 3), file('job/2/a', 2), file('job/4/a', 4, 10)];
    assert.deepEqual(chooseBasis(found), { folder: ['job', '3'], bytes: 1_000_000 });
    assert.equal(chooseBasis([]), undefined);
  });

  it('is none for encrypted files, and where a name would have to be quoted', () => {
    assert.ok(mayHaveBasis(['job', 'set', 'a.sql.zst']));
    assert.ok(
      mayHaveBasis(['Größe', 'set', "it's [any].sql"]),
      'the file itself is not named to the far side',
    );
    for (const names of [
      ['a'],
      ['job', 'a.dbk'],
      ['job', 'a.age'],
      ['my job', 'set', 'a'],
      ['$(x)', 'a'],
      ['-rf', 'a'],
    ]) {
      assert.ok(!mayHaveBasis(names), names.join('/'));
    }
    assert.equal(chooseBasis([file('job/a b/x', 1)]), undefined);
  });
});

describe('rsync: its failures', () => {
  const failure = (exitCode: number, ...said: string[]) =>
    rsyncFailure({ exitCode, said }, 'write a on here');

  it('say what happened and what to do', () => {
    const cases: [number, string, string, boolean, RegExp][] = [
      [
        5,
        '@ERROR: auth failed on module m',
        'permission',
        false,
        /auth failed on module m.*check user and password/,
      ],
      [5, "@ERROR: Unknown module 'm'", 'not-found', false, /rsyncd\.conf/],
      [5, '@ERROR: access denied to m from host (10.0.0.1)', 'permission', false, /hosts allow/],
      [
        5,
        '@ERROR: max connections (2) reached -- try again later',
        'unavailable',
        true,
        /number of connections/,
      ],
      [1, 'ERROR: module is read only', 'permission', false, /read only = no/],
      [1, 'ERROR: The server is configured to refuse --delete', 'permission', false, /let the server allow/],
      [
        11,
        'rsync: [receiver] write failed on "a" (in m): No space left on device (28)',
        'no-space',
        false,
        /free space/,
      ],
      [11, 'rsync: write failed on "a": Disc quota exceeded (122)', 'no-space', false, /quota/],
      [12, 'sh: 1: rsync: not found', 'unavailable', false, /install the package rsync on the host/],
      [12, 'bash: line 1: rsync: command not found', 'unavailable', false, /install the package rsync/],
      [
        2,
        'protocol version mismatch -- is your shell clean?',
        'invalid-config',
        false,
        /write nothing by itself/,
      ],
      [
        23,
        'rsync: [receiver] mkstemp "a" failed: Permission denied (13)',
        'permission',
        false,
        /give the account/,
      ],
      [
        23,
        'rsync: [receiver] mkstemp "a" failed: Read-only file system (30)',
        'permission',
        false,
        /only be read/,
      ],
      [10, '', 'unavailable', true, /exit code 10/],
      [
        12,
        'rsync: connection unexpectedly closed (0 bytes received so far) [sender]',
        'unavailable',
        true,
        /closed/,
      ],
      [24, 'file has vanished: "/a"', 'unavailable', true, /vanished/],
      [25, 'Deletions stopped due to --max-delete limit (1 skipped)', 'internal', false, /max-delete/],
      [30, 'rsync error: timeout in data send/receive (code 30) at io.c(204)', 'stalled', true, /network/],
      [35, '', 'stalled', true, /network/],
      [99, '', 'unavailable', false, /exit code 99/],
    ];
    for (const [exitCode, line, code, transient, message] of cases) {
      const error = failure(exitCode, ...(line === '' ? [] : [line]));
      assert.equal(error.code, code, line);
      assert.equal(error.transient, transient, line);
      assert.match(error.message, message);
      assert.match(error.message, /^Cannot write a on here: /);
    }
  });

  it('leave out what only follows from the reason', () => {
    const { message } = failure(
      23,
      'rsync: [sender] change_dir "x" (in m) failed: Permission denied (13)',
      'rsync error: some files/attrs were not transferred (see previous errors) (code 23) at main.c(1956)',
      'rsync: [Receiver] read error: Connection reset by peer (104)',
    );
    assert.match(message, /: change_dir "x" \(in m\) failed: Permission denied \(13\) \(exit code 23\);/);
  });

  it('tell a missing folder and a refused option', () => {
    const run = (...said: string[]) => ({ exitCode: 23, said });
    assert.ok(
      lacksFolder(run('rsync: [sender] change_dir "x" (in m) failed: No such file or directory (2)')),
    );
    assert.ok(!lacksFolder(run('rsync: [sender] change_dir "x" (in m) failed: Permission denied (13)')));
    assert.ok(refusesOption(run('ERROR: The server is configured to refuse --fsync'), '--fsync'));
    assert.ok(refusesOption(run('rsync: on remote machine: --fsync: unknown option'), '--fsync'));
    assert.ok(!refusesOption(run('ERROR: The server is configured to refuse --delete'), '--fsync'));
  });
});

describe('rsync: its settings', () => {
  const daemon = { transport: 'daemon', host: 'h', module: 'm' } as const;
  const ssh = {
    transport: 'ssh-password' as const,
    host: 'h',
    user: 'u',
    password: 'secret',
    hostKeys: [`SHA256:${'a'.repeat(43)}`],
  };

  it('say where the storage is, without secrets', () => {
    const place = (options: Parameters<typeof createRsyncDestination>[0]) => {
      const parsed = rsyncOptions.parse(options);
      return [rsyncLocation(parsed), rootArgument(parsed)];
    };
    assert.deepEqual(place(daemon), ['rsync://h:873/m', 'm/']);
    assert.deepEqual(place({ ...daemon, root: '/a//b/./c/' }), ['rsync://h:873/m/a/b/c', 'm/a/b/c/']);
    assert.deepEqual(place({ ...ssh }), ['rsync+ssh://u@h:22', './']);
    assert.deepEqual(place({ ...ssh, root: 'a/b' }), ['rsync+ssh://u@h:22/a/b', './a/b/']);
    assert.deepEqual(place({ ...ssh, root: '/srv/b' }), ['rsync+ssh://u@h:22//srv/b', '/srv/b/']);
    assert.deepEqual(place({ ...ssh, host: '::1', root: '/' }), ['rsync+ssh://u@[::1]:22//', '/']);
  });

  it('refuse what could reach further than it should', () => {
    const wrong: unknown[] = [
      { ...daemon, root: '../up' },
      { ...daemon, root: 'a/../../b' },
      { ...daemon, root: 'a*' },
      { ...daemon, root: 'a[1]' },
      { ...daemon, root: 'a\nb' },
      { ...daemon, module: 'a/b' },
      { ...daemon, module: 'a:b' },
      { ...daemon, module: '' },
      { ...daemon, password: 'a\nb' },
      { ...daemon, user: 'a\nb' },
      { ...ssh, hostKeys: [] },
      { ...ssh, hostKeys: ['ssh-ed25519 AAAA'] },
      { ...ssh, password: '' },
      { ...ssh, transport: 'rsh' },
    ];
    for (const options of wrong) {
      assert.throws(
        () => createRsyncDestination(options as typeof daemon),
        (error) =>
          error instanceof BackupError &&
          error.code === 'invalid-config' &&
          !error.message.includes('secret'),
        JSON.stringify(options),
      );
    }
  });
});
