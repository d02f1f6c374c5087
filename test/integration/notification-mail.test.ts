import assert from 'node:assert/strict';
import { once } from 'node:events';
import { type AddressInfo, createServer } from 'node:net';
import { createEmailChannel } from '../../lib/notifiers/email.ts';
import { emailOptions } from '../../lib/notifiers/email-options.ts';
import { createNotifier } from '../../lib/notifiers/notifier.ts';
import { TestSmtp } from '../servers/smtp.ts';
import { HurriedClock } from '../support/hurried-clock.ts';
import { contentOf, sampleContent, sampleEvent } from '../support/sample-events.ts';
import { until } from '../support/until.ts';

const LIMIT_MS = 60_000;
const RECIPIENTS = ['a@example.com', 'Bea <b@example.com>', 'c@example.com'];

describe('notifications by mail', () => {
  let server: TestSmtp;

  before(async () => {
    server = await TestSmtp.start({ security: 'starttls', user: 'backup', password: 'secret-password' });
  });

  after(() => server.close());

  beforeEach(() => {
    server.letters.length = 0;
    server.refused.clear();
  });

  const channel = (options: object = {}) =>
    createEmailChannel(
      emailOptions.parse({
        security: 'starttls',
        host: '127.0.0.1',
        port: server.port,
        user: 'backup',
        password: 'secret-password',
        caFile: server.caFile,
        from: 'DBackup <backup@example.com>',
        to: RECIPIENTS,
        ...options,
      }),
    );

  const deliver = (options: object = {}, content = sampleContent('failed')) => {
    const notifier = createNotifier(channel(options), {
      clock: new HurriedClock(LIMIT_MS),
      attemptMs: LIMIT_MS,
    });
    return notifier.send(content, new AbortController().signal);
  };

  it('comes as text and HTML to all recipients, over TLS, signed in', async () => {
    const delivery = await deliver();
    assert.equal(delivery.status, 'delivered', delivery.error?.message);
    const [letter] = server.letters;
    assert.ok(letter?.secure);
    assert.equal(letter.user, 'backup');
    assert.equal(letter.from, 'backup@example.com');
    assert.deepEqual(letter.to, ['a@example.com', 'b@example.com', 'c@example.com']);
    assert.match(letter.raw, /^Subject: \[DBackup\] shop: backup failed\r$/m);
    assert.match(letter.raw, /^To: a@example\.com, Bea <b@example\.com>, c@example\.com\r$/m);
    assert.match(letter.raw, /^Auto-Submitted: auto-generated\r$/im);
    assert.match(letter.raw, /^Content-Type: multipart\/alternative/m);
    assert.match(letter.raw, /Content-Type: text\/plain; charset=utf-8/);
    assert.match(letter.raw, /Content-Type: text\/html; charset=utf-8/);
    assert.ok(letter.raw.includes(delivery.responseId ?? 'no id'), 'the id is that of the letter');
  });

  it('fails when some recipients are refused, names them, and has told the others', async () => {
    server.refused.set('b@example.com', { code: 550, text: 'No such user', times: 9 });
    const delivery = await deliver();
    assert.equal(delivery.status, 'failed');
    assert.equal(delivery.attempts, 1);
    assert.match(delivery.error?.message ?? '', /refuses Bea <b@example\.com> \(550 No such user\)/);
    assert.deepEqual(server.letters[0]?.to, ['a@example.com', 'c@example.com']);
  });

  it('is tried again for those only who were refused for the moment', async () => {
    server.refused.set('b@example.com', { code: 450, text: 'Greylisted', times: 2 });
    const delivery = await deliver();
    assert.equal(delivery.status, 'delivered', delivery.error?.message);
    assert.equal(delivery.attempts, 3);
    assert.deepEqual(
      server.letters.map(({ to }) => to),
      [['a@example.com', 'c@example.com'], ['b@example.com']],
    );
  });

  it('fails when all recipients are refused', async () => {
    for (const to of ['a', 'b', 'c'])
      server.refused.set(`${to}@example.com`, { code: 550, text: 'No', times: 9 });
    const delivery = await deliver();
    assert.match(
      delivery.error?.message ?? '',
      /refuses a@example\.com, Bea <b@example\.com>, c@example\.com/,
    );
    assert.equal(server.letters.length, 0);
  });

  it('says that the user is not let in, without the password', async () => {
    const delivery = await deliver({ password: 'a-wrong-password' });
    assert.equal(delivery.error?.code, 'permission');
    assert.match(delivery.error?.message ?? '', /does not let the user sign in: 535/);
    assert.doesNotMatch(delivery.error?.message ?? '', /a-wrong-password/);
  });

  it('is not sent to a server that does not encrypt', async () => {
    const plain = await TestSmtp.start({ security: 'none' });
    try {
      const delivery = await deliver({ port: plain.port });
      assert.match(delivery.error?.message ?? '', /does not encrypt the connection/);
      assert.equal(delivery.attempts, 1);
      assert.equal(plain.letters.length, 0);
      const open = emailOptions.parse({
        security: 'none',
        host: '127.0.0.1',
        port: plain.port,
        from: 'a@example.com',
        to: ['b@example.com'],
      });
      const sent = await createNotifier(createEmailChannel(open)).send(
        sampleContent(),
        new AbortController().signal,
      );
      assert.equal(sent.status, 'delivered', sent.error?.message);
      assert.equal(plain.letters[0]?.secure, false);
    } finally {
      await plain.close();
    }
  });

  it('keeps no connection when it is stopped, even to a server that never ends to speak', async () => {
    const stopping = new AbortController();
    let closed = false;
    const endless = createServer((socket) => {
      socket.write('220 mail.example.com\r\n');
      socket.once('data', () => {
        // Each line ends the silence that a sender waits for.
        const talk = setInterval(() => socket.write('250-still here\r\n'), 200);
        socket.once('close', () => {
          clearInterval(talk);
          closed = true;
        });
        stopping.abort();
      });
      socket.on('error', () => undefined);
    });
    endless.listen(0, '127.0.0.1');
    await once(endless, 'listening');
    const { port } = endless.address() as AddressInfo;
    const delivery = await createNotifier(channel({ port })).send(sampleContent(), stopping.signal);
    assert.equal(delivery.error?.code, 'aborted');
    await until(() => closed);
    endless.close();
  });

  it('has no header that a name or a template has brought in', async () => {
    const nasty = 'x\r\nBcc: everybody@example.com\r\n\r\n<script>';
    const content = contentOf({ ...sampleEvent('failed'), job: nasty, summary: nasty });
    const delivery = await deliver({ title: '{{ job }}\n{{ summary }}' }, content);
    assert.equal(delivery.status, 'delivered', delivery.error?.message);
    const [letter] = server.letters;
    const head = letter?.raw.split('\r\n\r\n')[0] ?? '';
    assert.doesNotMatch(head, /^Bcc:/im);
    assert.deepEqual(letter?.to.length, 3);
    const [, html = ''] = letter?.raw.split('Content-Type: text/html') ?? [];
    assert.match(html, /&#60;script&#62;/);
    assert.doesNotMatch(html, /<script>/);
  });

  it('shows a text of one’s own in both parts', async () => {
    await deliver({ body: '<p>Look at <b>{{ job }}</b></p>\n<p>{{ summary }} &amp; more</p>' });
    const raw = server.letters[0]?.raw.replaceAll('=\r\n', '') ?? '';
    assert.match(raw, /Look at shop\r\n/);
    assert.match(raw, /shop: the backup has failed & more/);
    assert.match(raw, /<p>Look at <b>shop<\/b><\/p>/);
  });

  it('is refused by its settings when addresses are none', () => {
    for (const to of [
      [],
      ['nobody'],
      ['a@example.com\r\nBcc: b@example.com'],
      ['a@example.com, b@example.com'],
    ]) {
      const parsed = emailOptions.safeParse({ security: 'tls', host: 'h', from: 'a@example.com', to });
      assert.ok(!parsed.success, to.join());
    }
  });
});
