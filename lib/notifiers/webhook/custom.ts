import { z } from 'zod';
import { BackupError } from '../../errors.ts';
import { TIMED_SIGNATURE, timedSignature } from '../../webhooks/timed-signature.ts';
import type { NotificationContent } from '../content.ts';
import type { HttpRequest } from '../http.ts';
import { hostOf, webAddress } from '../http-address.ts';
import { preparedRequest } from '../json-channel.ts';
import type { Channel } from '../notifier.ts';
import { testContent } from '../own-content.ts';
import { secretsOfUrl } from '../redact.ts';
import { LONGEST_TEMPLATE, renderTemplate } from '../template.ts';
import { builtInNote } from '../templates.ts';
import { JSON_TEXT, PLAIN } from '../text-format.ts';

const HEADER = /^([!#$%&'*+.^_`|~0-9A-Za-z-]+):[ \t]*([^\r\n]*)$/;
/** Those that the connection itself sets. */
const RESERVED = new Set(['host', 'content-length', 'connection', 'transfer-encoding', 'expect', 'upgrade']);

export const customWebhookOptions = z.object({
  preset: z.literal('custom'),
  url: webAddress.meta({ title: 'URL', description: 'Where the request goes' }),
  method: z
    .enum(['POST', 'PUT', 'PATCH'])
    .default('POST')
    .meta({ title: 'Method', description: 'Of the request' }),
  contentType: z.enum(['application/json', 'text/plain']).default('application/json').meta({
    title: 'Content type',
    description: 'Of the body; values in the template of a JSON body are escaped for it',
  }),
  headers: z
    .string()
    .max(8000)
    .optional()
    .refine(areHeaders, 'has lines that are no headers: write Name: value')
    .meta({
      title: 'Headers',
      description: 'One a line, as Name: value',
    }),
  signingSecret: z.string().optional().meta({
    title: 'Signing secret',
    description: 'The body is signed with it (HMAC-SHA-256)',
  }),
  payload: z.string().max(LONGEST_TEMPLATE).default('').meta({
    title: 'Body',
    description: 'Template of the body, in Liquid; empty for all that is known, as JSON',
  }),
  caFile: z.string().max(1000).default('').meta({
    title: 'CA file',
    description: 'File with certificates of authorities to trust, beside those that the host trusts',
  }),
});

export type CustomWebhookOptions = z.output<typeof customWebhookOptions>;

/** A request of any form to any address. */
export function createCustomWebhook(options: CustomWebhookOptions, now: () => number = Date.now): Channel {
  const { url, headers = '', signingSecret } = options;
  return {
    name: 'webhook',
    describe: () => `Webhook (${hostOf(url)})`,
    secrets: [
      ...secretsOfUrl(url),
      ...readHeaders(headers).map(([, value]) => value),
      ...(signingSecret === undefined ? [] : [signingSecret]),
    ],
    prepare(content) {
      const { body, notes } = bodyOf(content, options);
      const { method, contentType, caFile } = options;
      const sent: HttpRequest = {
        url,
        method,
        caFile,
        body,
        headers: {
          'Content-Type': `${contentType}; charset=utf-8`,
          'X-DBackup-Event': content.event,
          'X-DBackup-Delivery': content.id,
          ...Object.fromEntries(readHeaders(headers)),
        },
      };
      return preparedRequest({
        request: sent,
        notes,
        // A receiver takes no signature that is old, as that of the first attempt may be.
        headersNow: (): Record<string, string> =>
          signingSecret === undefined
            ? {}
            : { [TIMED_SIGNATURE]: timedSignature(body, signingSecret, now()) },
      });
    },
  };
}

/** What is wrong with the template of a body; undefined when it is fine. */
export function payloadProblem({ payload, contentType }: CustomWebhookOptions): string | undefined {
  if (payload.trim() === '') return undefined;
  try {
    renderBody(payload, contentType, testContent(new Date(0), 'DBackup'));
    return undefined;
  } catch (thrown) {
    return (thrown as BackupError).message;
  }
}

function bodyOf(content: NotificationContent, { payload, contentType }: CustomWebhookOptions) {
  if (payload.trim() === '') return { body: defaultBody(content, contentType), notes: [] };
  try {
    return { body: renderBody(payload, contentType, content), notes: [] };
  } catch (thrown) {
    const note = builtInNote('body', (thrown as BackupError).message);
    return { body: defaultBody(content, contentType, note), notes: [note] };
  }
}

function renderBody(
  payload: string,
  contentType: CustomWebhookOptions['contentType'],
  content: NotificationContent,
): string {
  if (contentType === 'text/plain') return renderTemplate(payload, content, PLAIN);
  const rendered = renderTemplate(payload, content, JSON_TEXT);
  try {
    JSON.parse(rendered);
    return rendered;
  } catch (cause) {
    const reason = cause instanceof Error ? cause.message : String(cause);
    throw new BackupError('invalid-config', `the template makes no valid JSON: ${reason}`);
  }
}

function defaultBody(content: NotificationContent, contentType: string, note?: string): string {
  if (contentType === 'text/plain') {
    return [content.title, content.summary, ...(note === undefined ? [] : [note])].join('\n');
  }
  return JSON.stringify(note === undefined ? content : { ...content, note });
}

function areHeaders(text: string | undefined): boolean {
  return linesOf(text ?? '').every((line) => {
    const name = HEADER.exec(line)?.[1]?.toLowerCase();
    return name !== undefined && !RESERVED.has(name);
  });
}

function readHeaders(text: string): [string, string][] {
  return linesOf(text).flatMap((line) => {
    const [, name, value] = HEADER.exec(line) ?? [];
    return name === undefined || value === undefined ? [] : [[name, value.trim()]];
  });
}

function linesOf(text: string): string[] {
  return text
    .split(/\r?\n/)
    .map((line) => line.trim())
    .filter((line) => line !== '');
}
