import { createEmailChannel } from '../../lib/notifiers/email.ts';
import { emailOptions } from '../../lib/notifiers/email-options.ts';
import { TestSmtp } from '../servers/smtp.ts';
import { describeNotifier, type NotifierFixture } from './notifier.suite.ts';

const PASSWORD = 'Zp8SecretPassword4711';

for (const security of ['starttls', 'tls'] as const) {
  describeNotifier({
    name: `mail, ${security}`,
    start: () => start(security),
    lacks: ['trickle', 'redirect'],
    shortMs: 4000,
  });
}

async function start(security: 'starttls' | 'tls'): Promise<NotifierFixture> {
  const server = await TestSmtp.start({ security, user: 'backup', password: PASSWORD });
  const channel = (caFile: string) =>
    createEmailChannel(
      emailOptions.parse({
        security,
        host: '127.0.0.1',
        port: server.port,
        user: 'backup',
        password: PASSWORD,
        caFile,
        from: 'DBackup <backup@example.com>',
        to: ['admin@example.com'],
      }),
    );
  return {
    channel: channel(server.caFile),
    untrusted: channel(''),
    secrets: [PASSWORD, Buffer.from(PASSWORD).toString('base64')],
    misbehave(what) {
      if (what === 'pass') server.senderErrors.push({ code: 451, text: 'Greylisted, try again' });
      else if (what === 'refuse') server.senderErrors.push({ code: 550, text: 'Sender is not allowed' });
      else if (what === 'hang' || what === 'reset' || what === 'garbage') server.next.push(what);
    },
    attempts: () => server.connections,
    taken: () => server.letters.length,
    redirectsAreUnused: () => true,
    close: () => server.close(),
  };
}
