import assert from 'node:assert/strict';
import { oneLine } from '../../lib/events/summaries.ts';

describe('the line that an event says', () => {
  it('is one, whatever the text was', () => {
    assert.equal(
      oneLine('  cannot connect:\r\n\r\n  is the server up?\n'),
      'cannot connect: is the server up?',
    );
    assert.equal(oneLine('a  table\tstays'), 'a  table\tstays');
    assert.equal(oneLine(' \n '), '');
  });

  it('needs no time for many blanks', () => {
    const text = `a${' '.repeat(500_000)}b`;
    assert.equal(oneLine(text), text);
  });
});
