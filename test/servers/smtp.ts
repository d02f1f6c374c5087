import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { type AddressInfo, connect, createServer, type Server } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { SMTPServer } from 'smtp-server';
import { createAuthority } from './certificates.ts';

/** A letter that the server has taken. */
export interface TakenLetter {
  readonly from: string;
  readonly to: readonly string[];
  /** As it came: headers and body. */
  readonly raw: string;
  readonly secure: boolean;
  readonly user: string | undefined;
}

/** What a connection meets before anything is said. */
export type ConnectionBehaviour = 'hang' | 'reset' | 'garbage';

export interface SmtpOptions {
  readonly security: 'starttls' | 'tls' | 'none';
  readonly user?: string;
  readonly password?: string;
}

/** A real mail server on a port of 127.0.0.1 that records letters and misbehaves as a test wants. */
export class TestSmtp {
  readonly letters: TakenLetter[] = [];
  /** What the next connections meet. */
  readonly next: ConnectionBehaviour[] = [];
  /** Answers to the next senders (MAIL FROM). */
  readonly senderErrors: { readonly code: number; readonly text: string }[] = [];
  /** Recipients that are refused, and how often; for good when that is not said. */
  readonly refused = new Map<string, { readonly code: number; readonly text: string; times: number }>();
  /** Connections so far. */
  connections = 0;
  readonly port: number;
  /** The authority that its certificate is of. */
  readonly caFile: string;
  readonly #smtp: SMTPServer;
  readonly #front: Server;
  readonly #folder: string;

  private constructor(parts: {
    smtp: SMTPServer;
    front: Server;
    folder: string;
    caFile: string;
    port: number;
  }) {
    this.#smtp = parts.smtp;
    this.#front = parts.front;
    this.#folder = parts.folder;
    this.caFile = parts.caFile;
    this.port = parts.port;
  }

  static async start({ security, user, password }: SmtpOptions): Promise<TestSmtp> {
    const folder = await mkdtemp(join(tmpdir(), 'dbackup-test-smtp-'));
    const authority = await createAuthority(folder);
    const { certFile, keyFile } = await authority.sign('127.0.0.1', ['IP:127.0.0.1']);
    let started: TestSmtp | undefined;
    const smtp = new SMTPServer({
      secure: security === 'tls',
      key: readFileSync(keyFile),
      cert: readFileSync(certFile),
      logger: false,
      authOptional: user === undefined,
      disabledCommands: [
        ...(security === 'starttls' ? [] : ['STARTTLS']),
        ...(user === undefined ? ['AUTH'] : []),
      ],
      onAuth(auth, _session, answer) {
        if (auth.username === user && auth.password === password) answer(null, { user: auth.username ?? '' });
        else answer(Object.assign(new Error(`Invalid credentials ${auth.password}`), { responseCode: 535 }));
      },
      onMailFrom(_address, _session, answer) {
        const error = started?.senderErrors.shift();
        answer(error === undefined ? null : smtpError(error));
      },
      onRcptTo({ address }, _session, answer) {
        const refusal = started?.refused.get(address);
        if (refusal === undefined || refusal.times < 1) return answer();
        refusal.times -= 1;
        answer(smtpError(refusal));
      },
      onData(stream, session, answer) {
        const chunks: Buffer[] = [];
        stream.on('data', (chunk: Buffer) => chunks.push(chunk));
        stream.on('end', () => {
          const { mailFrom, rcptTo } = session.envelope;
          started?.letters.push({
            from: mailFrom === false ? '' : mailFrom.address,
            to: rcptTo.map(({ address }) => address),
            raw: Buffer.concat(chunks).toString('utf8'),
            secure: session.secure,
            user: session.user,
          });
          answer(null, 'queued as 4711');
        });
      },
    });
    smtp.on('error', () => undefined);
    smtp.listen(0, '127.0.0.1');
    await once(smtp.server, 'listening');
    const behind = (smtp.server.address() as AddressInfo).port;
    const front = createServer((socket) => {
      socket.on('error', () => undefined);
      if (started === undefined) return;
      started.connections += 1;
      const behaviour = started.next.shift();
      if (behaviour === 'hang') return;
      if (behaviour === 'reset') socket.resetAndDestroy();
      else if (behaviour === 'garbage') socket.end('HTTP/1.1 400 Bad Request\r\n\r\n');
      else {
        const target = connect(behind, '127.0.0.1');
        target.on('error', () => socket.destroy());
        socket.on('close', () => target.destroy());
        socket.pipe(target).pipe(socket);
      }
    });
    front.listen(0, '127.0.0.1');
    await once(front, 'listening');
    const { port } = front.address() as AddressInfo;
    started = new TestSmtp({ smtp, front, folder, caFile: authority.caFile, port });
    return started;
  }

  async close(): Promise<void> {
    this.#front.close();
    await new Promise<void>((resolve) => this.#smtp.close(() => resolve()));
    await rm(this.#folder, { recursive: true, force: true });
  }
}

function smtpError({ code, text }: { readonly code: number; readonly text: string }): Error {
  return Object.assign(new Error(text), { responseCode: code });
}
