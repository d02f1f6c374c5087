import assert from 'node:assert/strict';
import { DigestAuth } from '../../lib/destinations/webdav/digest.ts';

// The example of RFC 7616, section 3.9.1.
const NONCE = '7ypf/xlj9XXwfDPEoM4URrv/xwf94BcCAzFZH4GiTo0v';
const OPAQUE = 'FQhe/qaU925kfnzjCev0ciny7QMkPqMAFRtzCUYo5tdS';
const CNONCE = 'f2/wE4q74E6zIJEtWaHKaf5wv/H5QzzpXusqGemxURZJ';
const challenge = (algorithm: string) =>
  `Digest realm="http-auth@example.org", qop="auth, auth-int", algorithm=${algorithm}, nonce="${NONCE}", opaque="${OPAQUE}"`;

describe('digest authentication', () => {
  const answer = (...challenges: string[]) => {
    const auth = new DigestAuth('Mufasa', 'Circle of Life');
    assert.ok(auth.accept(challenges));
    return auth.header('GET', '/dir/index.html', CNONCE) ?? '';
  };

  it('answers as RFC 7616 does, with MD5', () => {
    assert.match(answer(challenge('MD5')), /response="8ca523f5e9506fed4657c9700eebdbec"/);
  });

  it('answers as RFC 7616 does, with SHA-256, and prefers it', () => {
    const response = /response="753927fa0e85d155564e2e272a28d1802ca10daf4496794697cf8db5856cb6c1"/;
    assert.match(answer(challenge('MD5'), challenge('SHA-256')), response);
    assert.match(answer(`Basic realm="x", ${challenge('SHA-256')}`), response);
  });

  it('counts the answers to one challenge, and begins anew with the next', () => {
    const auth = new DigestAuth('a', 'b');
    assert.equal(auth.header('GET', '/'), undefined);
    auth.accept([challenge('MD5')]);
    assert.match(auth.header('GET', '/') ?? '', /nc=00000001/);
    assert.match(auth.header('PUT', '/x') ?? '', /uri="\/x".*nc=00000002/);
    auth.accept([challenge('MD5')]);
    assert.match(auth.header('GET', '/') ?? '', /nc=00000001/);
  });

  it('answers nothing that it does not understand', () => {
    const auth = new DigestAuth('a', 'b');
    for (const header of [
      'Basic realm="x"',
      'Digest realm="x"',
      challenge('SHA-512-256'),
      challenge('MD5').replace('auth, ', ''),
    ]) {
      assert.equal(auth.accept([header]), false, header);
    }
  });

  it('puts user names with quotes into quotes', () => {
    const auth = new DigestAuth('a"b\\c', 'x');
    auth.accept([challenge('MD5')]);
    assert.match(auth.header('GET', '/') ?? '', /username="a\\"b\\\\c"/);
  });
});
