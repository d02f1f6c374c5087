import assert from 'node:assert/strict';
import { join } from 'node:path';
import { Editor } from '../support/editor/editor.ts';
import { editorSuite } from '../support/editor/suite.ts';
import { type NotifierServers, startNotifierServers } from '../support/notifier-servers.ts';
import { until } from '../support/until.ts';

const TAB = { id: 'the-tab', type: 'tab', label: 'Test', disabled: false, info: '' };
const at = { z: 'the-tab', schemaVersion: 1 };
const policy = {
  ...{ events: ['failed', 'recovered'], deliver: 'each', severity: 'info', reminderHours: 0 },
  ...{ digestTime: '08:00', digestZone: '', link: '', title: '', body: '' },
};
const SECRET = 'Zp8SecretToken4711';

describe('A notifier in the editor', function () {
  this.timeout(240_000);
  let servers: NotifierServers;
  const suite = editorSuite(async () => {
    servers = await startNotifierServers();
    return {
      flow: [
        TAB,
        {
          ...{ id: 'the-go', type: 'inject', ...at, name: 'go', topic: 'Hello', once: false, repeat: '' },
          ...{ props: [{ p: 'payload' }, { p: 'topic', vt: 'str' }], payload: 'a text', payloadType: 'str' },
          ...{ crontab: '', x: 120, y: 80, wires: [['the-chat']] },
        },
        {
          id: 'the-chat',
          type: 'dbackup-discord',
          ...at,
          name: '',
          username: '',
          ...policy,
          x: 320,
          y: 80,
          wires: [[]],
        },
        {
          ...{
            id: 'the-hook',
            type: 'dbackup-notify-webhook',
            ...at,
            name: '',
            preset: 'telegram',
            ...policy,
          },
          ...{
            chat: '-100',
            parseMode: 'HTML',
            endpoint: 'https://api.telegram.org',
            x: 320,
            y: 180,
            wires: [[]],
          },
        },
        {
          ...{ id: 'the-mail', type: 'dbackup-email', ...at, name: '', security: 'starttls', ...policy },
          ...{ host: '127.0.0.1', port: servers.smtp.port, user: 'backup', from: 'backup@example.com' },
          ...{ to: ['admin@example.com'], subjectPrefix: '[DBackup]', caFile: servers.smtp.caFile },
          ...{ x: 320, y: 280, wires: [[]] },
        },
      ],
    };
  });
  after(() => servers?.stop());
  afterEach(async () => {
    await suite.editor.closeForms();
    assert.deepEqual(suite.editor.problems, []);
  });

  const node = (id: string) => suite.editor.canvas.node(id);
  const { DBACKUP_TEST_PICTURES: pictures } = process.env;
  const picture = async (editor: Editor, name: string) => {
    if (pictures !== undefined) await editor.page.screenshot({ path: join(pictures, `${name}.png`) });
  };

  it('sends a test with what stands in the form, deployed or not', async () => {
    const form = await node('the-chat').open();
    await form.fill('url', `${servers.http.url}/discord/${SECRET}`);
    const answer = await form.ask('test');
    assert.equal(answer.level, 'ok', answer.text);
    assert.match(answer.text, /^Discord \(127\.0\.0\.1:\d+\) has taken a test message/);
    assert.equal(servers.requests('/discord/').length, 1);
    await picture(suite.editor, 'notifier-light');
    await form.done();
  });

  it('says why a test was not taken, without the secret', async () => {
    const form = await node('the-chat').open();
    servers.http.next.push({ status: 404, body: `{"message": "Unknown Webhook ${SECRET}"}` });
    const answer = await form.ask('test');
    assert.equal(answer.level, 'error');
    assert.match(answer.text, /HTTP 404: .*Unknown Webhook \*\*\*/);
    await form.cancel();
  });

  it('shows what became of a message, once it is deployed', async () => {
    await suite.editor.deploy();
    await node('the-go').press();
    await node('the-chat').shows(/^✓ \d\d:\d\d · delivered$/);
    assert.equal(await node('the-chat').statusColor(), 'green');
    servers.http.next.push({ status: 401, body: 'Unauthorized' });
    await node('the-go').press();
    await node('the-chat').shows(/^✗ Discord \(127\.0\.0\.1:\d+\) was not notified: HTTP 401/);
    assert.equal(await node('the-chat').statusColor(), 'red');
  });

  it('keeps its address as a secret', async () => {
    const form = await node('the-chat').open();
    assert.equal(await form.input('url').inputValue(), '__PWRD__');
    await form.cancel();
    assert.ok(!suite.server.output.includes(SECRET));
    const exported = await suite.editor.page.evaluate('JSON.stringify(RED.nodes.createCompleteNodeSet())');
    assert.ok(!String(exported).includes(SECRET));
  });

  it('shows a wrong template with its line, and sends the built-in text', async () => {
    const form = await node('the-chat').open();
    await form.unfold();
    await form.fill('body', 'fine\n{% if job %}');
    const answer = await form.ask('test');
    assert.equal(answer.level, 'warning');
    assert.match(answer.notes.join(), /the template has an error in line 2/);
    await form.done();
    await suite.editor.deploy();
    await node('the-chat').shows(/body: the template has an error in line 2/);
    await until(() =>
      /\[error\] \[dbackup-discord:[^\]]*\] .*built-in text until this is mended/.test(suite.server.output),
    );
  });

  it('shows the fields of the service that is chosen', async () => {
    const form = await node('the-hook').open();
    assert.ok(await form.row('chat').isVisible());
    assert.ok(!(await form.row('payload').isVisible()));
    await form.choose('preset', 'custom');
    assert.ok(await form.row('payload').isVisible());
    assert.ok(!(await form.row('chat').isVisible()));
    await form.fill('url', `${servers.http.url}/program/${SECRET}`);
    await form.fill('payload', '{"text": "{{ summary }}"}');
    const answer = await form.ask('test');
    assert.equal(answer.level, 'ok', answer.text);
    assert.match(servers.requests('/program/')[0]?.body ?? '', /^\{"text": "This is a test by the editor/);
    await form.cancel();
  });

  it('sends a test mail by the server in the form', async () => {
    const form = await node('the-mail').open();
    await form.fill('password', SECRET);
    const answer = await form.ask('test');
    assert.equal(answer.level, 'ok', answer.text);
    assert.equal(servers.smtp.letters.length, 1);
    await form.cancel();
  });

  it('speaks German, on a dark ground as well', async () => {
    const german = await Editor.open(suite.browser, suite.server.url, { language: 'de', theme: 'dark' });
    try {
      const form = await german.canvas.node('the-mail').open();
      await form.unfold();
      assert.match(await form.row('deliver').innerText(), /Meldet/);
      assert.match(await form.row('events').innerText(), /gelingt wieder/);
      await picture(german, 'notifier-dark');
      await form.cancel();
      assert.deepEqual(german.problems, []);
    } finally {
      await german.close();
    }
  });
});
