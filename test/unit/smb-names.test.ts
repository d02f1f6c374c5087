import assert from 'node:assert/strict';
import fc from 'fast-check';
import { isObjectName } from '../../lib/destinations/path.ts';
import { fromShare, problemOfRoot, shareNames, sharePath } from '../../lib/destinations/smb/names.ts';
import { BackupError } from '../../lib/errors.ts';

const CHARACTERS = [...'aZ0 .:*?"<>|;%#~$ü🐘', 'con', 'AUX', 'nul', 'lpt1', '.sql'];
const name = fc
  .oneof(
    fc.string({ unit: 'grapheme' }),
    fc.array(fc.constantFrom(...CHARACTERS)).map((parts) => parts.join('')),
  )
  .filter(
    (each) =>
      isObjectName(each) &&
      !each.includes('/') &&
      Buffer.byteLength(each) < 80 &&
      !/[\uf001-\uf07f]/.test(each),
  );

describe('names in a share', () => {
  it('come back as they were given, and have nothing that shares or commands forbid', () => {
    fc.assert(
      fc.property(name, (given) => {
        const [there = ''] = shareNames(given);
        assert.equal(fromShare(there), given);
        assert.doesNotMatch(there, /["*:<>?|\\/\p{Cc}]/u);
        assert.doesNotMatch(there, /[ .]$/);
        assert.doesNotMatch(there, /^(con|prn|aux|nul|com\d|lpt\d)(\.|$)/i);
      }),
      { numRuns: 2000 },
    );
  });

  it('differ when their originals do', () => {
    fc.assert(
      fc.property(name, name, (one, other) => {
        if (one !== other) assert.notDeepEqual(shareNames(one), shareNames(other));
      }),
    );
  });

  it('use the stand-ins that macOS and Linux use', () => {
    assert.deepEqual(shareNames('a:b'), ['a\uf022b']);
    assert.deepEqual(shareNames('"*<>?|'), ['\uf020\uf021\uf023\uf024\uf025\uf027']);
    assert.deepEqual(shareNames('a./b '), ['a\uf029', 'b\uf028']);
    assert.deepEqual(shareNames('aux.sql/console'), ['\uf061ux.sql', 'console']);
    assert.deepEqual(shareNames('plain/ünï #1%'), ['plain', 'ünï #1%']);
  });

  it('are refused where they cannot be told apart, or are too long with stand-ins', () => {
    for (const path of ['a\uf022b', ':'.repeat(100), '../x', 'a\\b', 'a\nb'])
      assert.throws(
        () => shareNames(path),
        (error) => error instanceof BackupError && error.code === 'invalid-config',
      );
    const folders = Array.from({ length: 20 }, () => 'x'.repeat(200));
    assert.throws(() => sharePath([], folders), /longer than 3000 bytes/);
  });

  it('of files that are not ours are none', () => {
    for (const there of ['.hidden', '.a.0123456789abcdef.partial', '..'])
      assert.equal(fromShare(there), undefined);
  });

  it('of the storage itself are taken as they are, or refused', () => {
    assert.equal(problemOfRoot(['Backups', 'of; 100%']), undefined);
    for (const folder of ['..', 'a"b', 'a*', 'a ', 'a.', 'aux', 'a\tb'])
      assert.notEqual(problemOfRoot([folder]), undefined, folder);
  });
});
