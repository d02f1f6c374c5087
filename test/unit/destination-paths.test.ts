import assert from 'node:assert/strict';
import { posix, win32 } from 'node:path';
import fc from 'fast-check';
import { openStorage } from '../../lib/destinations/open.ts';
import { isObjectName, splitObjectPath } from '../../lib/destinations/path.ts';
import { commitLockName, isTemporaryName, temporaryName } from '../../lib/destinations/temporary-names.ts';
import { BackupError } from '../../lib/errors.ts';

const piece = fc.oneof(
  fc.constantFrom('..', '.', '', 'a', 'job', '.x', 'C:', '~', '%2e%2e', '\\', '..\\..', '\0'),
  fc.string({ unit: 'binary', maxLength: 12 }),
);

function accepted(path: string): string[] | undefined {
  try {
    return splitObjectPath(path);
  } catch (error) {
    assert.ok(error instanceof BackupError && error.code === 'invalid-config');
    return undefined;
  }
}

function refusedStorage(location: string): string {
  try {
    openStorage(location);
  } catch (error) {
    assert.ok(error instanceof BackupError);
    assert.equal(error.code, 'invalid-config');
    return error.message;
  }
  return assert.fail(`${location} was opened`);
}

describe('object paths', () => {
  it('never leave the root, on POSIX and on Windows', () => {
    fc.assert(
      fc.property(fc.array(piece, { minLength: 1, maxLength: 5 }), (pieces) => {
        const path = pieces.join('/');
        const names = accepted(path);
        if (names === undefined) return;
        assert.equal(names.join('/'), path);
        for (const { join, relative } of [posix, win32]) {
          const inside = relative('/root', join('/root', ...names));
          assert.ok(inside !== '' && !inside.startsWith('..'), `${JSON.stringify(path)} leads to ${inside}`);
        }
      }),
      { numRuns: 2000 },
    );
  });

  it('take what the product itself writes', () => {
    const path = 'nightly/2031-05-01T02-00-00Z_k3j9x2/orders.sqlite.zst.dbk';
    assert.deepEqual(accepted(path), path.split('/'));
  });

  it('never clash with the hidden names of unfinished files', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'grapheme', minLength: 1, maxLength: 255 }), (name) => {
        fc.pre(isObjectName(name));
        for (const hidden of [temporaryName(name), commitLockName(name)]) {
          assert.ok(isTemporaryName(hidden), hidden);
          assert.ok(!isObjectName(hidden), hidden);
          assert.ok(Buffer.byteLength(hidden) <= 255, `${Buffer.byteLength(hidden)} bytes`);
          assert.ok(hidden.isWellFormed());
        }
      }),
    );
    assert.ok(!isTemporaryName('.bashrc'));
    assert.ok(!isTemporaryName('download.partial'));
    assert.ok(!isTemporaryName('.movie.mkv.partial'), 'an unfinished file of another program');
  });
});

describe('storages that are named directly', () => {
  it('opens folders by URL and by path', () => {
    assert.equal(openStorage('file:///backups').describe(), 'file:///backups');
    assert.equal(openStorage('file:///my%20backups/%23').describe(), 'file:///my%20backups/%23');
    assert.equal(openStorage('FILE:///backups').describe(), 'file:///backups');
    assert.equal(openStorage('/backups/').describe(), 'file:///backups');
    assert.equal(openStorage('backups').describe(), `file://${process.cwd()}/backups`);
    assert.equal(openStorage('/odd/a:b#c').describe(), 'file:///odd/a:b%23c');
  });

  it('refuses what it does not know, and says what it knows', () => {
    assert.match(refusedStorage('gopher://host/backups'), /"gopher" is not known: use .*file:\/\//);
    assert.match(refusedStorage('constructor://x'), /not known/);
    assert.match(refusedStorage('file://host/backups'), /names the host "host"/);
    assert.match(refusedStorage('file:///backups?x=1'), /%3F/);
    assert.match(refusedStorage('file:///a%00b'), /NUL|not the path/);
    assert.match(refusedStorage('file:///'), /root of the file system/);
    assert.match(refusedStorage('/'), /root of the file system/);
    assert.match(refusedStorage(''), /No storage is given/);
    assert.match(refusedStorage('file:///a%zz'), /not the path/);
  });
});
