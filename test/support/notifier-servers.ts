import { type RecordedRequest, RecordingHttp } from '../servers/recording-http.ts';
import { TestSmtp } from '../servers/smtp.ts';

const SECRET = 'Zp8SecretToken4711';

/** What each service of the templates answers, by the beginning of the path. */
const ANSWERS: Readonly<Record<string, { readonly status?: number; readonly body: string }>> = {
  '/discord/': { body: '{"id":"42"}' },
  '/slack/': { body: 'ok' },
  '/teams/': { status: 202, body: '' },
  '/program/': { status: 204, body: '' },
  '/ping/': { body: 'OK' },
};
/** ntfy is asked at the root. */
const NTFY = { body: '{"id":"sPs71M8A2T","event":"message"}' };

/** The services that the templates of notifiers ask for, on 127.0.0.1. */
export interface NotifierServers {
  readonly smtp: TestSmtp;
  readonly http: RecordingHttp;
  /** What the templates ask a person to set. */
  readonly environment: Readonly<Record<string, string>>;
  /** Requests whose path begins so. */
  requests(path: string): RecordedRequest[];
  stop(): Promise<void>;
}

export async function startNotifierServers(): Promise<NotifierServers> {
  const smtp = await TestSmtp.start({ security: 'starttls', user: 'backup', password: SECRET });
  const http = await RecordingHttp.start();
  http.choose = (path) => ANSWERS[Object.keys(ANSWERS).find((start) => path.startsWith(start)) ?? ''] ?? NTFY;
  return {
    smtp,
    http,
    environment: {
      SMTP_HOST: '127.0.0.1',
      SMTP_PORT: String(smtp.port),
      SMTP_USER: 'backup',
      SMTP_PASSWORD: SECRET,
      SMTP_CA_FILE: smtp.caFile,
      MAIL_FROM: 'backup@example.com',
      MAIL_TO: 'admin@example.com',
      DISCORD_WEBHOOK_URL: `${http.url}/discord/${SECRET}`,
      SLACK_WEBHOOK_URL: `${http.url}/slack/${SECRET}`,
      TEAMS_WEBHOOK_URL: `${http.url}/teams/${SECRET}`,
      EVENT_WEBHOOK_URL: `${http.url}/program/${SECRET}`,
      EVENT_WEBHOOK_SECRET: SECRET,
      NTFY_SERVER: http.url,
      NTFY_TOPIC: 'a-topic-of-the-tests',
      HEALTHCHECKS_URL: `${http.url}/ping/${SECRET}`,
    },
    requests: (path) => http.requests.filter((request) => request.path.startsWith(path)),
    async stop() {
      await Promise.all([smtp.close(), http.close()]);
    },
  };
}
