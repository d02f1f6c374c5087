import assert from 'node:assert/strict';
import { clientConfiguration } from '../../lib/destinations/smb/client-files.ts';
import { isTooOld, readVersion } from '../../lib/destinations/smb/client-tool.ts';
import { parseListing } from '../../lib/destinations/smb/entries.ts';
import { loginFailure, refusalIn, SmbRefusal, smbFailure } from '../../lib/destinations/smb/failures.ts';
import { smbLocation, smbOptions } from '../../lib/destinations/smb/options.ts';
import { BackupError } from '../../lib/errors.ts';

const OPTIONS = { host: 'files', share: 'backups', user: 'me' };

describe('smbclient', () => {
  describe('listings', () => {
    const only = (line: string) => parseListing([line]).entries[0];

    it('are read whatever is in a name', () => {
      const time = 'Sun Nov 22 20:59:38 2026';
      const modified = new Date('2026-11-22T20:59:38Z');
      const long = `${'a'.repeat(60)}D`;
      for (const [name, flags, size] of [
        ['big', 'N', 12_345_678_901],
        ['a  b', 'A', 0],
        ['D        0', 'AH', 99_999_999],
        [`x ${time}`, 'A', 5],
        ['ünï 7', 'A', 100_000_000],
        [long, 'N', 1],
        ['exactly-thirty-characters-long', 'A', 17],
      ] as const) {
        const padding = ' '.repeat(Math.max(0, 30 - Buffer.byteLength(name)));
        const row = `  ${name}${padding}${flags.padStart(7)} ${String(size).padStart(8)}  ${time}`;
        assert.deepEqual(only(row), { name, type: 'file', bytes: size, modified });
      }
      assert.equal(only(`  folder                             DH        0  ${time}`)?.type, 'folder');
      assert.equal(only(`  junction                           Dr        0  ${time}`)?.type, 'link');
      assert.equal(
        only('  a                                   A        1  Thu Jan  1 00:00:00 1970')?.bytes,
        1,
      );
    });

    it('leave out the folder itself, and tell the free space', () => {
      const listing = parseListing([
        '  .                                   D        0  Sun Nov 22 20:56:39 2026',
        '  ..                                  D        0  Sun Nov 22 20:56:41 2026',
        '\t\t264212084 blocks of size 1024. 77435776 blocks available',
      ]);
      assert.deepEqual(listing, { entries: [], freeBytes: 77_435_776 * 1024 });
      assert.equal(parseListing(['Error in dskattr: NT_STATUS_ACCESS_DENIED']).freeBytes, undefined);
    });

    it('are refused when they are none', () => {
      for (const line of [
        'something else',
        '  a                                   A        1  Sun Nov 22 20:56',
        '  a                                   A       11  Sun Foo 22 20:56:39 2026',
        '  a  A 1  Sun Nov 22 20:56:39 2026',
      ])
        assert.throws(
          () => parseListing([line]),
          (error) => error instanceof BackupError && error.code === 'corrupt',
          line,
        );
    });
  });

  describe('failures', () => {
    it('are found among what it says', () => {
      assert.equal(
        refusalIn(['  NT_STATUS_DISK_FULL               A        1  Sun Nov 22 20:56:39 2026']),
        undefined,
      );
      assert.equal(
        refusalIn(["Encryption required and server doesn't support SMB3 encryption - failing connect"]),
        undefined,
      );
      assert.equal(refusalIn(['getting file \\a of size 1 as - (1.0 KiloBytes/sec)']), undefined);
      const refusal = refusalIn([
        'cli_push returned NT_STATUS_DISK_FULL',
        'NT_STATUS_INVALID_NETWORK_RESPONSE closing remote file \\a',
      ]);
      assert.equal(refusal?.status, 'DISK_FULL', 'the first is the reason');
    });

    it('say what to do, and whether it may pass', () => {
      for (const [line, code, transient, message] of [
        ['session setup failed: NT_STATUS_LOGON_FAILURE', 'permission', false, /check user, password/],
        ['session setup failed: NT_STATUS_ACCOUNT_LOCKED_OUT', 'permission', false, /unlock it/],
        ['tree connect failed: NT_STATUS_BAD_NETWORK_NAME', 'not-found', false, /no such share/],
        ['NT_STATUS_MEDIA_WRITE_PROTECTED making remote directory \\a', 'permission', false, /allow writing/],
        ['NT_STATUS_DISK_FULL writing', 'no-space', false, /free space/],
        ['NT_STATUS_SHARING_VIOLATION listing \\a', 'unavailable', true, /SHARING_VIOLATION/],
        ['NT_STATUS_CONNECTION_RESET listing \\a', 'unavailable', true, /CONNECTION_RESET/],
        ['NT_STATUS_NEVER_HEARD_OF listing \\a', 'unavailable', true, /NEVER_HEARD_OF/],
      ] as const) {
        const error = smbFailure(new SmbRefusal([line]), 'do it');
        assert.equal(error.code, code, line);
        assert.equal(error.transient, transient, line);
        assert.match(error.message, message);
        assert.match(error.message, /^Cannot do it: /);
      }
    });

    it('of a damaged message are not taken for the word of the server', () => {
      const lines = [
        'Bad SMB2 (sign_algo_id=2) signature for message',
        '[0000] 00 00 00 00 00 00 00 00   00 00 00 00 00 00 00 00   ........ ........',
        'NT_STATUS_ACCESS_DENIED listing \\a\\*',
      ];
      const refusal = new SmbRefusal(lines);
      assert.equal(refusal.answered, false);
      assert.ok(smbFailure(refusal, 'list it').transient);
      assert.equal(loginFailure(lines, 'connect').code, 'permission');
    });
  });

  it('is asked for its release', () => {
    assert.deepEqual(readVersion('Version 4.17.12-Debian\n'), [4, 17]);
    assert.equal(readVersion('smbclient of something'), undefined);
    assert.ok(isTooOld([4, 13]) && isTooOld([3, 99]));
    assert.ok(!isTooOld([4, 15]) && !isTooOld([5, 0]));
  });

  it('is given what was asked for, whatever the machine has as its defaults', () => {
    const text = (options: object) =>
      clientConfiguration(smbOptions.parse({ ...OPTIONS, ...options }), '/tmp/x');
    assert.match(text({}), /client min protocol = SMB3\n/);
    assert.match(text({}), /client signing = required\n/);
    assert.match(text({}), /client smb encrypt = desired\n/);
    assert.match(
      text({ protocol: 'SMB2', signing: 'server', encryption: 'required' }),
      /SMB2_02\n[\s\S]*signing = desired\n[\s\S]*encrypt = required\n/,
    );
    assert.match(text({ user: '' }), /client smb encrypt = off\n/);
  });

  it('is given no settings that could say more than they should', () => {
    for (const wrong of [
      { host: '' },
      { host: 'a b' },
      { host: 'files/backups' },
      { share: 'a/b' },
      { share: 'a\\b' },
      { share: '' },
      { user: 'a\nb' },
      { domain: 'a\nb' },
      { password: 'a\nb' },
      { password: ' blank' },
      { user: '', password: 'x' },
      { user: '', encryption: 'required' },
      { root: 'a\nb' },
    ])
      assert.equal(smbOptions.safeParse({ ...OPTIONS, ...wrong }).success, false, JSON.stringify(wrong));
    assert.ok(smbOptions.safeParse({ ...OPTIONS, share: 'My Backups$', password: 'with blank ' }).success);
  });

  it('is told of by a location without secrets', () => {
    const at = (options: object) =>
      smbLocation(smbOptions.parse({ ...OPTIONS, password: 'secret', ...options }));
    assert.equal(at({}), 'smb://files/backups');
    assert.equal(at({ host: '::1', port: 1445, root: '\\a\\b c/' }), 'smb://[::1]:1445/backups/a/b c');
  });
});
