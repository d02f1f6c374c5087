import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { BackupError } from '../../lib/errors.ts';
import { notifierNodes } from '../../nodes/notifiers/notifier-nodes.ts';
import { type NotifyTestInput, notifyTest } from '../../runner/commands/notify.ts';
import { createOutput } from '../../runner/output.ts';
import { askForm } from '../support/ask-form.ts';
import { captured } from '../support/captured-output.ts';
import { type NotifierServers, startNotifierServers } from '../support/notifier-servers.ts';

const FLOWS = join(import.meta.dirname, '..', '..', 'flows');

describe('a test of a notifier', () => {
  let servers: NotifierServers;
  let folder: string;

  beforeEach(async () => {
    servers = await startNotifierServers();
    folder = mkdtempSync(join(tmpdir(), 'dbackup-notify-test-'));
  });

  afterEach(async () => {
    await servers.stop();
    rmSync(folder, { recursive: true, force: true });
  });

  const notify = async (input: NotifyTestInput) => {
    const { streams, stdout } = captured();
    const code = await notifyTest(
      { ...input, userDir: folder },
      {
        output: createOutput(streams.stdout, streams.stderr),
        signal: new AbortController().signal,
        stopCode: () => undefined,
        onStop: () => undefined,
        env: servers.environment,
      },
    );
    return { code, stdout: stdout() };
  };

  const flow = (name: string) => join(FLOWS, `${name}.json`);
  const refusal = (pattern: RegExp) => (error: unknown) =>
    error instanceof BackupError && error.code === 'invalid-config' && pattern.test(error.message);

  it('is sent by dbackup notify test, with the variables of the environment', async () => {
    const { code, stdout } = await notify({ flow: flow('33-notify-email') });
    assert.equal(code, 0);
    assert.match(stdout, /^Mail \(127\.0\.0\.1:\d+\) has taken a test message \(<[^>]+@example\.com>\)\n$/);
    assert.match(servers.smtp.letters[0]?.raw ?? '', /Subject: \[DBackup\] Test of DBackup/);
  });

  it('goes to the notifier that is named, and asks which when there are several', async () => {
    await assert.rejects(
      notify({ flow: flow('36-notify-webhook') }),
      refusal(/has 2 notifiers: choose one with --node \(.*Our program.*Phone/),
    );
    await assert.rejects(
      notify({ flow: flow('36-notify-webhook'), node: 'x' }),
      refusal(/"x" names 0 notifiers/),
    );
    const { stdout } = await notify({ flow: flow('36-notify-webhook'), node: 'Phone', json: true });
    const answer = JSON.parse(stdout) as { status: string; responseId: string };
    assert.deepEqual([answer.status, answer.responseId], ['delivered', 'sPs71M8A2T']);
  });

  it('fails with the reason, after one attempt, without secrets', async () => {
    servers.http.choose = () => ({ status: 500, body: 'we are down Zp8SecretToken4711' });
    await assert.rejects(
      notify({ flow: flow('37-dead-man-ping') }),
      /healthchecks .* was not notified: HTTP 500: we are down \*\*\*$/,
    );
    assert.equal(servers.http.requests.length, 1);
    const { code, stdout } = await notify({ flow: flow('37-dead-man-ping'), json: true });
    assert.equal(code, 1);
    assert.match(stdout, /"status":"failed"/);
    assert.doesNotMatch(stdout, /Zp8SecretToken4711/);
  });

  it('is refused for a notifier that is not set up', async () => {
    const file = join(folder, 'flow.json');
    writeFileSync(
      file,
      JSON.stringify([
        { id: 'n', type: 'dbackup-discord', z: 't', name: 'Chat' },
        { id: 't', type: 'tab' },
      ]),
    );
    await assert.rejects(notify({ flow: file }), refusal(/Chat.*url is missing/));
  });

  it('is sent by the button of each form', async () => {
    const { environment: env } = servers;
    const forms: Readonly<Record<string, object>> = {
      'dbackup-email': {
        security: 'starttls',
        host: env.SMTP_HOST,
        port: env.SMTP_PORT,
        user: env.SMTP_USER,
        password: env.SMTP_PASSWORD,
        caFile: env.SMTP_CA_FILE,
        from: env.MAIL_FROM,
        to: [env.MAIL_TO],
      },
      'dbackup-discord': { url: env.DISCORD_WEBHOOK_URL },
      'dbackup-slack': { via: 'webhook', url: env.SLACK_WEBHOOK_URL },
      'dbackup-teams': { url: env.TEAMS_WEBHOOK_URL },
      'dbackup-notify-webhook': { preset: 'ntfy', server: env.NTFY_SERVER, topic: env.NTFY_TOPIC },
    };
    for (const node of notifierNodes) {
      const answer = await askForm(node, { ...forms[node.type] }, folder);
      assert.deepEqual([answer.level, answer.text], ['ok', 'test.ok'], node.type);
    }
    const body = '{% if job %}';
    const warned = await askForm(
      notifierNodes.find(({ type }) => type === 'dbackup-teams') ?? assert.fail(),
      { url: env.TEAMS_WEBHOOK_URL, body },
      folder,
    );
    assert.equal(warned.level, 'warning');
    assert.match(warned.notes?.join() ?? '', /error in line 1/);
  });

  it('says in the form why it was not taken', async () => {
    servers.http.choose = () => ({ status: 404, body: '{"message": "Unknown Webhook", "code": 10015}' });
    const discord = notifierNodes.find(({ type }) => type === 'dbackup-discord') ?? assert.fail();
    await assert.rejects(
      askForm(discord, { url: servers.environment.DISCORD_WEBHOOK_URL }, folder),
      /Discord .* was not notified: HTTP 404: .*Unknown Webhook/,
    );
  });
});
