import { readFileSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Channel } from '../../../lib/notifiers/notifier.ts';
import { createAuthority } from '../../servers/certificates.ts';
import { type Behaviour, RecordingHttp, type ScriptedAnswer } from '../../servers/recording-http.ts';
import type { Misbehaviour, NotifierFixture } from '../notifier.suite.ts';

/** What is special to a service that is reached by HTTP. */
export interface HttpService {
  /** A channel to the service at this address. */
  channel(url: string): Channel;
  readonly secrets: readonly string[];
  /** Its answer to a message that it takes. */
  readonly success: ScriptedAnswer;
  readonly pass?: ScriptedAnswer;
  readonly refuse?: ScriptedAnswer;
}

const GARBAGE: ScriptedAnswer = {
  status: 200,
  body: `<html><body>Please sign in ${'x'.repeat(100_000)}</body></html>`,
};

let files: Promise<{ cert: string; key: string }> | undefined;

/** A certificate of an authority that nobody trusts; made once for all tests of a process. */
function untrustedCertificate(): Promise<{ cert: string; key: string }> {
  files ??= (async () => {
    const folder = await mkdtemp(join(tmpdir(), 'dbackup-test-certificate-'));
    try {
      const authority = await createAuthority(folder);
      const { certFile, keyFile } = await authority.sign('127.0.0.1', ['IP:127.0.0.1']);
      return { cert: readFileSync(certFile, 'utf8'), key: readFileSync(keyFile, 'utf8') };
    } finally {
      await rm(folder, { recursive: true, force: true });
    }
  })();
  return files;
}

export async function startHttpFixture(
  service: HttpService,
): Promise<NotifierFixture & { server: RecordingHttp }> {
  const server = await RecordingHttp.start();
  const secure = await RecordingHttp.start(await untrustedCertificate());
  const elsewhere = await RecordingHttp.start();
  server.usual = service.success;
  secure.usual = service.success;
  let bad = 0;
  const behaviours: Readonly<Record<Misbehaviour, Behaviour>> = {
    hang: 'hang',
    trickle: 'trickle',
    reset: 'reset',
    pass: service.pass ?? { status: 503, body: 'try again' },
    refuse: service.refuse ?? { status: 400, body: 'bad request' },
    garbage: GARBAGE,
    redirect: { status: 307, headers: { Location: `${elsewhere.url}/stolen` } },
  };
  return {
    server,
    channel: service.channel(server.url),
    untrusted: service.channel(secure.url),
    secrets: service.secrets,
    misbehave(what) {
      bad += 1;
      server.next.push(behaviours[what]);
    },
    attempts: () => server.requests.length,
    taken: () => Math.max(0, server.requests.length - bad) + secure.requests.length,
    redirectsAreUnused: () => elsewhere.requests.length === 0,
    async close() {
      await Promise.all([server.close(), secure.close(), elsewhere.close()]);
    },
  };
}
