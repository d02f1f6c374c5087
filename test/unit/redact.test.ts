import assert from 'node:assert/strict';
import fc from 'fast-check';
import { logText, MAX_MESSAGE_BYTES } from '../../lib/logs/log-text.ts';
import { forgetSecrets, knowEnvironmentSecrets, knowSecret, redact } from '../../lib/logs/redact.ts';

describe('redaction', () => {
  beforeEach(forgetSecrets);
  afterEach(forgetSecrets);

  it('replaces a known secret wherever it stands, also in the forms of URLs and JSON', () => {
    knowSecret('pa"ss wörd/1');
    assert.equal(redact('x pa"ss wörd/1y'), 'x ***y');
    assert.equal(redact(`https://h/?p=${encodeURIComponent('pa"ss wörd/1')}`), 'https://h/?p=***');
    assert.equal(redact(JSON.stringify({ note: 'pa"ss wörd/1' })), '{"note":"***"}');
  });

  it('leaves short values and everything that is no text alone', () => {
    for (const value of ['12345', '', 17, undefined, null, {}]) knowSecret(value);
    assert.equal(redact('12345 17 undefined null'), '12345 17 undefined null');
  });

  it('leaves words alone that our own texts are made of', () => {
    for (const value of ['postgres', 'backups', 'Password']) knowSecret(value);
    assert.equal(
      redact('no backups of postgres: Password is wrong'),
      'no backups of postgres: Password is wrong',
    );
    assert.equal(
      redact('postgres://me:postgres@host password=postgres'),
      'postgres://me:***@host password=***',
    );
  });

  it('replaces the longer one of two secrets of which one is part of the other', () => {
    knowSecret('correct-horse');
    knowSecret('correct-horse-battery');
    assert.equal(redact('correct-horse-battery correct-horse'), '*** ***');
  });

  it('knows each line of a key, but not the lines around it', () => {
    knowSecret(
      '-----BEGIN OPENSSH PRIVATE KEY-----\nAAAAB3NzaC1yc2EAAAADAQAB\n-----END OPENSSH PRIVATE KEY-----\n',
    );
    assert.equal(redact('read AAAAB3NzaC1yc2EAAAADAQAB'), 'read ***');
    assert.equal(redact('no -----END OPENSSH PRIVATE KEY-----'), 'no -----END OPENSSH PRIVATE KEY-----');
  });

  it('knows the values of environment variables that are secrets by their name, and no others', () => {
    knowEnvironmentSecrets({
      SHOP_PASSWORD: 'value-one',
      PGPASSWORD: 'value-two',
      my_token: 'value-three',
      DBACKUP_MASTER_KEY: 'value-four',
      SHOP_PASSWORD_FILE: '/run/secrets/shop',
      MONKEY: 'value-five',
      SFTP_HOST_KEY: 'SHA256:public',
      HOME: '/home/shop',
    });
    assert.equal(
      redact(
        'value-one value-two value-three value-four /run/secrets/shop value-five SHA256:public /home/shop',
      ),
      '*** *** *** *** /run/secrets/shop value-five SHA256:public /home/shop',
    );
  });

  for (const [given, safe] of [
    ['postgres://shop:hunter22@db:5432/shop', 'postgres://shop:***@db:5432/shop'],
    ['https://:pw@host and http://h:80/x@y', 'https://:***@host and http://h:80/x@y'],
    ['Authorization: Bearer abc.def', 'Authorization: Bearer ***'],
    ['{"authorization":"Basic c2hvcDpzZWNyZXQ="}', '{"authorization":"Basic ***"}'],
    ['Authorization: AWS4-HMAC-SHA256 Credential=A, Signature=b', 'Authorization: AWS4-HMAC-SHA256 ***'],
    ['?X-Amz-Signature=0123&x=1', '?X-Amz-Signature=***&x=1'],
    ['host=db password=geheim user=shop', 'host=db password=*** user=shop'],
    ['-----BEGIN RSA PRIVATE KEY-----\nMIIE\n', '***'],
    ['AGE-SECRET-KEY-1QQPZRY9X8', '***'],
    ['The password is wrong: sign in with another one', 'The password is wrong: sign in with another one'],
    ['authorization: permission denied', 'authorization: permission denied'],
    ['file:///backups/shop@2 s3://bucket/a:b', 'file:///backups/shop@2 s3://bucket/a:b'],
  ] as const) {
    it(`turns ${JSON.stringify(given)} into ${JSON.stringify(safe)}`, () =>
      assert.equal(redact(given), safe));
  }

  it('law: no text that is redacted holds a known secret', () => {
    const secret = fc.string({ minLength: 6, maxLength: 30, unit: 'grapheme' });
    fc.assert(
      fc.property(
        secret,
        fc.string({ unit: 'grapheme' }),
        fc.string({ unit: 'grapheme' }),
        (value, before, after) => {
          const trimmed = value.trim();
          fc.pre(trimmed.length >= 6 && !trimmed.includes('*'));
          forgetSecrets();
          knowSecret(value);
          assert.ok(!redact(`${before}${value}${after}`).includes(trimmed));
        },
      ),
    );
  });

  it('takes thousands of secrets, and forgets the oldest only', () => {
    for (let i = 0; i < 2500; i += 1) knowSecret(`secret-number-${i}-`);
    assert.equal(redact('secret-number-2499- secret-number-600-'), '*** ***');
    assert.equal(redact('secret-number-100-'), 'secret-number-100-');
  });

  it('needs no time for long texts that look like the beginning of a URL everywhere', () => {
    for (const text of ['a.'.repeat(250_000), 'a-'.repeat(250_000)]) assert.equal(redact(text), text);
    assert.equal(redact('x-y-postgresql+ssl://me:word@host'), 'x-y-postgresql+ssl://me:***@host');
  });
});

describe('the text of a log line', () => {
  it('is one line in which nothing steers a terminal', () => {
    assert.equal(logText('a\tb\r\nc\u001b[31m\u202e'), String.raw`a b\u{d}\nc\u{1b}[31m\u{202e}`);
  });

  it('law: is never longer than its limit, nor broken in a character', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary', minLength: 1, maxLength: 40 }), fc.nat(300), (text, times) => {
        const logged = logText(text.repeat(times + 1));
        assert.ok(Buffer.byteLength(logged) <= MAX_MESSAGE_BYTES);
        assert.ok(logged.isWellFormed() && !/[\p{Cc}\u2028]/u.test(logged));
      }),
    );
  });

  it('says that it was cut', () => {
    const logged = logText('ä'.repeat(4000));
    assert.match(logged, /^ä+ … \(cut\)$/);
    assert.ok(Buffer.byteLength(logged) > MAX_MESSAGE_BYTES - 8);
  });
});
