import assert from 'node:assert/strict';
import { createHmac } from 'node:crypto';
import fc from 'fast-check';
import { checkBearer, checkHubSignature } from '../../lib/webhooks/credentials-check.ts';
import { readBody } from '../../lib/webhooks/request-body.ts';
import { checkTimedSignature, type TimedSignature } from '../../lib/webhooks/timed-signature.ts';
import { UsedSignatures } from '../../lib/webhooks/used-signatures.ts';
import { FakeClock } from '../support/fake-clock.ts';

const SECRET = 'a-secret-of-some-length';
const BODY = Buffer.from('{"databases":["shop"]}');
const hmac = (text: string | Buffer, secret = SECRET) =>
  createHmac('sha256', secret).update(text).digest('hex');

describe('webhooks: bearer tokens', () => {
  it('take the right one, whatever the case of the scheme', () => {
    assert.equal(checkBearer(`Bearer ${SECRET}`, SECRET), undefined);
    assert.equal(checkBearer(`bearer  ${SECRET} `, SECRET), undefined);
  });

  for (const header of [
    undefined,
    '',
    'Bearer',
    'Bearer ',
    `Basic ${SECRET}`,
    SECRET,
    `Bearer ${SECRET} x`,
  ]) {
    it(`miss one in ${JSON.stringify(header)}`, () => {
      assert.deepEqual(pick(checkBearer(header, SECRET)), [401, 'missing']);
    });
  }

  it('law: take nothing else', () => {
    fc.assert(
      fc.property(fc.string({ minLength: 1 }), (token) => {
        fc.pre(token.trim() !== SECRET);
        assert.notEqual(checkBearer(`Bearer ${token}`, SECRET), undefined);
      }),
    );
    for (const token of [`${SECRET}x`, SECRET.slice(1), SECRET.toUpperCase()]) {
      assert.deepEqual(pick(checkBearer(`Bearer ${token}`, SECRET)), [401, 'wrong']);
    }
  });
});

describe('webhooks: signatures as GitHub makes them', () => {
  it("take the example of GitHub's documentation", () => {
    const header = 'sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17';
    assert.equal(
      checkHubSignature(header, Buffer.from('Hello, World!'), "It's a Secret to Everybody"),
      undefined,
    );
  });

  it('take no other body, secret or signature', () => {
    const header = `sha256=${hmac(BODY)}`;
    assert.equal(checkHubSignature(header, BODY, SECRET), undefined);
    assert.deepEqual(pick(checkHubSignature(header, Buffer.from('{}'), SECRET)), [401, 'wrong']);
    assert.deepEqual(pick(checkHubSignature(header, BODY, `${SECRET}x`)), [401, 'wrong']);
    for (const missing of [
      undefined,
      '',
      hmac(BODY),
      `sha1=${hmac(BODY)}`,
      `sha256=${hmac(BODY)}0`,
      'sha256=zz',
    ]) {
      assert.deepEqual(pick(checkHubSignature(missing, BODY, SECRET)), [401, 'missing']);
    }
  });
});

describe('webhooks: signatures with a time', () => {
  const NOW = Date.parse('2026-03-01T10:00:00Z');
  const time = NOW / 1000;
  const header = (t = time, body = BODY, secret = SECRET) =>
    `t=${t},v1=${hmac(Buffer.concat([Buffer.from(`${t}.`), body]), secret)}`;
  const signed = (t = time, body = BODY): TimedSignature => {
    const checked = checkTimedSignature(header(t, body), body, SECRET);
    assert.ok('signature' in checked);
    return checked;
  };

  it('take one of several that fits', () => {
    assert.equal(signed().time, time);
    const [t, v1] = header().split(',');
    const checked = checkTimedSignature(`${t}, v1=${'0'.repeat(64)}, ${v1}, v0=abc`, BODY, SECRET);
    assert.ok('signature' in checked);
  });

  it('take no other time, body or secret', () => {
    const other = header().replace(/t=\d+/, `t=${time + 1}`);
    for (const [given, body] of [
      [other, BODY],
      [header(), Buffer.from('{}')],
      [header(time, BODY, 'another'), BODY],
    ] as const) {
      const checked = checkTimedSignature(given, body, SECRET);
      assert.deepEqual('reason' in checked && pick(checked), [401, 'wrong']);
    }
    for (const missing of [
      undefined,
      '',
      't=1',
      `v1=${hmac(BODY)}`,
      header().replace('t=', 't=x'),
      `t=1,${header()}`,
    ]) {
      const checked = checkTimedSignature(missing, BODY, SECRET);
      assert.deepEqual('reason' in checked && pick(checked), [401, 'missing'], missing);
    }
  });

  it('pass once, within their time', async () => {
    const clock = new FakeClock(NOW - 3_600_000);
    const used = new UsedSignatures(clock);
    await clock.pass(3_600_000);
    assert.equal(used.use(signed(), 300), undefined);
    assert.deepEqual(pick(used.use(signed(), 300)), [401, 'replayed']);
    assert.equal(
      used.use(signed(time, Buffer.from('{}')), 300),
      undefined,
      'another body is another request',
    );
    assert.equal(used.use(signed(time - 300), 300), undefined);
    assert.deepEqual(pick(used.use(signed(time - 301), 300)), [401, 'expired']);
    assert.equal(used.use(signed(time + 300), 300), undefined, 'a clock that is fast');
    assert.deepEqual(pick(used.use(signed(time + 301), 300)), [401, 'expired']);
    await clock.pass(299_000);
    assert.deepEqual(pick(used.use(signed(), 300)), [401, 'replayed']);
    await clock.pass(2_000);
    assert.deepEqual(pick(used.use(signed(), 300)), [401, 'expired']);
    assert.deepEqual(
      pick(used.use(signed(time + 300), 300)),
      [401, 'replayed'],
      'longer, when it came early',
    );
  });

  it('do not pass again when a deploy has raised the tolerance', async () => {
    const clock = new FakeClock(NOW);
    const used = new UsedSignatures(clock);
    assert.equal(used.use(signed(), 10), undefined);
    await clock.pass(60_000);
    assert.deepEqual(pick(used.use(signed(), 300)), [401, 'replayed']);
  });

  it('do not pass again when the process has just started and remembers nothing', () => {
    const used = new UsedSignatures(new FakeClock(NOW));
    assert.deepEqual(pick(used.use(signed(time - 1), 300)), [401, 'expired']);
    assert.equal(used.use(signed(time), 300), undefined);
  });
});

describe('webhooks: the body', () => {
  const ALL = ['databases', 'tags', 'note', 'pin'] as const;

  it('gives parameters, from bytes, text or what was parsed already', () => {
    const parameters = { databases: ['shop'] };
    for (const payload of [BODY, BODY.toString(), JSON.parse(BODY.toString())]) {
      assert.deepEqual(readBody(payload, ALL), { content: parameters, parameters });
    }
  });

  it('may be empty', () => {
    for (const payload of [undefined, '', ' \n', Buffer.alloc(0), {}]) {
      assert.deepEqual(readBody(payload, ALL), { content: undefined, parameters: {} });
    }
  });

  it('is refused when it is malformed, or says what this webhook does not take', () => {
    const refused = (payload: unknown, allowed: readonly (typeof ALL)[number][] = ALL) => {
      const read = readBody(payload, allowed);
      return 'reason' in read && pick(read);
    };
    for (const payload of [
      'no json',
      '[]',
      '17',
      'null',
      '{"pin":1}',
      '{"x":1}',
      '{"__proto__":{"pin":true}}',
    ]) {
      assert.deepEqual(refused(payload), [400, 'malformed'], payload);
    }
    assert.deepEqual(refused('{"pin":true}', ['tags']), [403, 'forbidden']);
  });

  it('may be anything where no parameters are taken', () => {
    assert.deepEqual(readBody('{"action":"push"}', []), { content: { action: 'push' }, parameters: {} });
    assert.deepEqual(readBody('hello', []), { content: 'hello', parameters: {} });
  });
});

function pick(refused: { readonly status: number; readonly reason: string } | undefined) {
  return refused === undefined ? undefined : [refused.status, refused.reason];
}
