import type { SendMailOptions } from 'nodemailer';
import { throwIfAborted } from '../errors.ts';
import { cleanLine } from './clean-text.ts';
import type { NotificationContent } from './content.ts';
import { plainBody } from './content-lines.ts';
import { DeliveryError } from './delivery-error.ts';
import { htmlLetter } from './email-html.ts';
import { emailLibrary } from './email-library.ts';
import type { EmailOptions } from './email-options.ts';
import { authorities } from './http.ts';
import type { Channel, Receipt } from './notifier.ts';
import { renderTexts } from './templates.ts';
import { HTML } from './text-format.ts';

const LONGEST_BODY = 100_000;
/** Longest silence of the server, in ms; the attempt as a whole has a limit of its own. */
const SILENCE_MS = 15_000;

/** Mail by an SMTP server, as text and HTML, to one or more recipients. */
export function createEmailChannel(options: EmailOptions): Channel {
  const { host, port } = options;
  return {
    name: 'email',
    describe: () => `Mail (${host}:${port})`,
    secrets: 'password' in options && options.password !== undefined ? [options.password] : [],
    prepare(content) {
      const { letter, notes } = composeLetter(content, options);
      // Those that have got it do not get it again when it is tried again for others.
      const waiting = new Set(options.to);
      return { notes, attempt: (signal) => sendTo(waiting, letter, options, signal) };
    },
  };
}

/** The letter without its recipients. */
export function composeLetter(content: NotificationContent, options: EmailOptions) {
  const { from, subjectPrefix } = options;
  const { title, body, notes } = renderTexts(options, content, HTML, LONGEST_BODY);
  const noteLines = notes.length === 0 ? '' : `\n\n${notes.join('\n')}`;
  const letter = {
    from,
    subject: cleanLine(`${subjectPrefix} ${title}`, 200),
    text: `${body === undefined ? plainBody(content) : textOf(body)}${noteLines}\n`,
    html: htmlLetter(content, title, body, notes),
    messageId: `<${content.id}@${domainOf(from)}>`,
    date: new Date(content.at),
    headers: { 'Auto-Submitted': 'auto-generated', 'X-DBackup-Event': content.event },
  } satisfies SendMailOptions;
  return { letter, notes };
}

async function sendTo(
  waiting: Set<string>,
  letter: SendMailOptions,
  options: EmailOptions,
  signal: AbortSignal,
): Promise<Receipt> {
  const transport = await openTransport(options);
  throwIfAborted(signal);
  try {
    const to = [...waiting];
    // One letter for all: each recipient sees whom it went to.
    const info = await transport.sendMail({
      ...letter,
      signal,
      to: [...options.to],
      envelope: { from: bare(options.from), to: to.map(bare) },
    });
    return accept(info, waiting);
  } catch (thrown) {
    if (thrown instanceof DeliveryError) throw thrown;
    throw smtpError(thrown, waiting);
  } finally {
    transport.close();
  }
}

async function openTransport(options: EmailOptions) {
  const { createTransport } = await emailLibrary();
  const { host, port, security } = options;
  const common = {
    host,
    port,
    connectionTimeout: SILENCE_MS,
    greetingTimeout: SILENCE_MS,
    socketTimeout: SILENCE_MS,
    // No text that comes from outside may make it read files or addresses.
    disableFileAccess: true,
    disableUrlAccess: true,
  };
  if (security === 'none') return createTransport({ ...common, secure: false, ignoreTLS: true });
  const { user, password = '', caFile } = options;
  return createTransport({
    ...common,
    secure: security === 'tls',
    requireTLS: security === 'starttls',
    ...(user === '' ? {} : { auth: { user, pass: password } }),
    tls: { minVersion: 'TLSv1.2', ...(caFile === '' ? {} : { ca: authorities(caFile) }) },
  });
}

interface Rejection {
  readonly responseCode?: number | undefined;
  readonly response?: string | undefined;
}

interface Accepted {
  readonly messageId: string;
  readonly rejected?: readonly (string | { readonly address: string })[];
  readonly rejectedErrors?: readonly Rejection[] | undefined;
}

/** The server has taken the letter, but perhaps not for everybody. */
function accept(info: Accepted, waiting: Set<string>): Receipt {
  const rejected = new Set((info.rejected ?? []).map(addressOf));
  for (const recipient of waiting) if (!rejected.has(bare(recipient))) waiting.delete(recipient);
  if (waiting.size > 0) throw rejection(waiting, info.rejectedErrors ?? []);
  return { responseId: info.messageId };
}

function rejection(refused: ReadonlySet<string>, errors: readonly Rejection[]): DeliveryError {
  const reasons = errors.map(({ response }) => response).filter((response) => response !== undefined);
  const why = reasons.length === 0 ? '' : ` (${cleanLine([...new Set(reasons)].join('; '), 300)})`;
  const transient = errors.length > 0 && errors.every(({ responseCode = 550 }) => responseCode < 500);
  return new DeliveryError(`the server refuses ${[...refused].join(', ')}${why}`, {
    transient,
    code: 'invalid-config',
  });
}

interface SmtpError extends Error {
  readonly code?: string;
  readonly responseCode?: number;
  readonly response?: string;
  readonly rejectedErrors?: readonly Rejection[];
}

function smtpError(thrown: unknown, waiting: ReadonlySet<string>): DeliveryError {
  const { code, message, responseCode, response, rejectedErrors = [] } = thrown as SmtpError;
  if (rejectedErrors.length > 0) return rejection(waiting, rejectedErrors);
  const said = cleanLine(response ?? message, 300);
  if (code === 'EAUTH' || code === 'ENOAUTH' || code === 'EOAUTH2') {
    const transient = responseCode !== undefined && responseCode < 500;
    return new DeliveryError(`the server does not let the user sign in: ${said}`, {
      transient,
      code: 'permission',
    });
  }
  if (/certificate|altname|self.signed/i.test(message) || code === 'ERR_TLS_CERT_ALTNAME_INVALID') {
    const told = `the certificate of the server is not trusted (${cleanLine(message, 200)}): name the file of its authority`;
    return new DeliveryError(told, { transient: false, code: 'permission' });
  }
  if (/STARTTLS|TLS/.test(message) && code === 'ETLS') {
    const told = `the server does not encrypt the connection as it is set up (${said}): choose the encryption that its port has`;
    return new DeliveryError(told, { transient: false, code: 'invalid-config' });
  }
  const transient = responseCode === undefined ? code !== 'EENVELOPE' : responseCode < 500;
  return new DeliveryError(said, { transient, cause: thrown });
}

/** What a template of HTML says without its tags, for readers of plain text. */
function textOf(html: string): string {
  return html
    .replaceAll(/<(style|script)\b[\s\S]*?<\/\1>/gi, '')
    .replaceAll(/<br\s*\/?>|<\/(p|div|tr|li|h\d|table|ul|ol)>/gi, '\n')
    .replaceAll(/<[^<>]*>/g, '')
    .replaceAll(/&#(\d+);/g, (_all, code: string) => String.fromCodePoint(Math.min(Number(code), 0x10ffff)))
    .replaceAll(/&(lt|gt|quot|amp|nbsp);/g, (_all, name: string) => ENTITIES[name] ?? ' ')
    .replaceAll(/\n{3,}/g, '\n\n')
    .trim();
}

const ENTITIES: Readonly<Record<string, string>> = { lt: '<', gt: '>', quot: '"', amp: '&', nbsp: ' ' };

/** `backup@example.com` of `Backups <backup@example.com>`. */
function bare(address: string): string {
  return /<([^>]*)>/.exec(address)?.[1] ?? address.trim();
}

function addressOf(address: string | { readonly address: string }): string {
  return typeof address === 'string' ? address : address.address;
}

function domainOf(address: string): string {
  return bare(address).split('@').at(-1) ?? 'dbackup.invalid';
}
