import assert from 'node:assert/strict';
import { openStorage } from '../../lib/destinations/open.ts';

describe('the user in the URL of a storage', () => {
  for (const scheme of ['ftp', 'rsync', 'sftp', 'smb', 'webdav']) {
    it(`is refused when a % in it escapes nothing (${scheme})`, () => {
      assert.throws(() => openStorage(`${scheme}://a%zz@host/folder`), {
        code: 'invalid-config',
        message: /user of the \w+ URL holds a % that escapes nothing/,
      });
    });
  }
});
