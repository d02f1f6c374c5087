import assert from 'node:assert/strict';
import { parseDuration } from '../../runner/duration.ts';
import { formatDuration, formatTable, formatTime, printable } from '../../runner/format.ts';

describe('runner texts', () => {
  it('reads times to wait', () => {
    assert.equal(parseDuration('90s'), 90_000);
    assert.equal(parseDuration('1.5m'), 90_000);
    assert.equal(parseDuration(' 6h '), 21_600_000);
    assert.equal(parseDuration('1d'), 86_400_000);
  });

  for (const text of ['', '5', '5 h', '-1h', '0s', 'h', '1w', '25d', '1e3s', 'Infinityh']) {
    it(`refuses the time "${text}"`, () => {
      assert.throws(() => parseDuration(text), { name: 'BackupError', code: 'invalid-config' });
    });
  }

  it('writes durations with the unit that fits', () => {
    assert.deepEqual(
      [0, 999, 999.9, 1000, 59_940, 59_960, 60_000, 119_600, 3_599_000, 3_600_000, 90_000_000].map(
        formatDuration,
      ),
      [
        '0 ms',
        '999 ms',
        '1.0 s',
        '1.0 s',
        '59.9 s',
        '1 min 00 s',
        '1 min 00 s',
        '2 min 00 s',
        '59 min 59 s',
        '1 h 00 min',
        '25 h 00 min',
      ],
    );
  });

  it('writes times in UTC', () => {
    assert.equal(formatTime('2026-11-22T14:30:05.123Z'), '2026-11-22 14:30:05 UTC');
  });

  it('aligns tables', () => {
    const table = formatTable(
      ['A', 'LONG'],
      [
        ['first', 'x'],
        ['b', ''],
      ],
    );
    assert.equal(table, 'A      LONG\nfirst  x\nb');
  });

  it('lets nothing steer the terminal', () => {
    assert.equal(printable('a\u001b[2Jb\nc\u202ed\te'), 'a\\u{1b}[2Jb\\u{a}c\\u{202e}d e');
    assert.equal(printable('Größe 数据 🎉'), 'Größe 数据 🎉');
  });
});
