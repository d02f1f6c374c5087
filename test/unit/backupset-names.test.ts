import assert from 'node:assert/strict';
import fc from 'fast-check';
import { newRunId, StemAllocator, safeName } from '../../lib/backupset/names.ts';

describe('names of sets and files', () => {
  it('has run ids that sort by time and differ within a second', () => {
    const ids = [0, 1000, 86_400_000, 1e12].map((ms) => newRunId(new Date(ms)));
    assert.deepEqual([...ids].sort(), ids);
    assert.match(ids[3] ?? '', /^20010909T014640Z_[0-9a-f]{8}$/);
    assert.notEqual(newRunId(new Date(0)), newRunId(new Date(0)));
  });

  it('law: a safe name is one plain path component, whatever the database is called', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary', maxLength: 400 }), (name) => {
        const safe = safeName(name);
        assert.ok(safe.length > 0 && Buffer.byteLength(safe) <= 150);
        assert.doesNotMatch(safe, /[/\\:*?"<>|\s\p{Cc}]|^[.-]|\.$/u);
        assert.equal(safeName(safe), safe);
      }),
    );
  });

  it('keeps what people can read', () => {
    assert.equal(safeName('Müller & Söhne 2026'), 'Müller___Söhne_2026');
    assert.equal(safeName('../../etc/passwd'), '___.._etc_passwd');
    assert.equal(safeName(''), '_');
  });

  it('law: stems differ on storages that ignore case, however alike the databases', () => {
    fc.assert(
      fc.property(
        fc.array(fc.constantFrom('a', 'A', 'a-2', 'A-2', 'a/', 'a_', 'b'), { maxLength: 12 }),
        (names) => {
          const allocator = new StemAllocator();
          const stems = names.map((name) => allocator.allocate(name).toLowerCase());
          assert.equal(new Set(stems).size, names.length);
        },
      ),
    );
  });
});
