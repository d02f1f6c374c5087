import assert from 'node:assert/strict';
import { BackupError, errorAbout, messageAbout } from '../../lib/errors.ts';

describe('what an error is about', () => {
  const server = 'PostgreSQL server 127.0.0.1:5432';

  it('is said once, whoever said it first', () => {
    assert.equal(messageAbout(server, 'connection refused'), `${server}: connection refused`);
    assert.equal(messageAbout(server, `${server}: connection refused`), `${server}: connection refused`);
    assert.equal(
      messageAbout(server, `${server}: connection refused`, ' failed'),
      `${server} failed: connection refused`,
    );
    const error = new BackupError('unavailable', 'gone', { transient: true });
    const told = errorAbout('a', errorAbout('a', error));
    assert.deepEqual([told.message, told.code, told.transient], ['a: gone', 'unavailable', true]);
  });

  it('is not cut out of a message that is about something else', () => {
    assert.equal(messageAbout('shop', 'shop.sqlite: is gone'), 'shop: shop.sqlite: is gone');
    assert.equal(messageAbout('shop', 'shop is gone'), 'shop: shop is gone');
  });
});
