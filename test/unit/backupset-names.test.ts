import assert from 'node:assert/strict';
import fc from 'fast-check';
import { FileNameAllocator, newRunId, safeName } from '../../lib/backupset/names.ts';

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

  it('law: file names differ on storages that ignore case, however alike the databases', () => {
    const alike = fc.constantFrom(
      'a',
      'A',
      'a-2',
      'A-2',
      'a/',
      'a_',
      'b',
      'a.sqlite',
      'A.SQLite',
      '.sqlite',
      'a-2.sqlite',
    );
    fc.assert(
      fc.property(fc.array(alike, { maxLength: 12 }), (databases) => {
        const allocator = new FileNameAllocator();
        const files = databases.map((database) => allocator.allocate(database, '.sqlite').toLowerCase());
        assert.equal(new Set(files).size, databases.length);
        for (const file of files) assert.match(file, /^[^.].*[.]sqlite$/);
      }),
    );
  });

  it('does not repeat an extension that the database has already', () => {
    const allocator = new FileNameAllocator();
    const files = ['app.sqlite', 'app.db', 'APP.sqlite'].map((name) => allocator.allocate(name, '.sqlite'));
    assert.deepEqual(files, ['app.sqlite', 'app.db.sqlite', 'APP-2.sqlite']);
  });
});
