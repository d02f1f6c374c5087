import { createHash } from 'node:crypto';
import { z } from 'zod';
import { shorten } from '../clean-text.ts';
import type { NotificationContent } from '../content.ts';
import { plainBody } from '../content-lines.ts';
import { DeliveryError } from '../delivery-error.ts';
import { quote } from '../http.ts';
import { addressBelow, hostOf, webAddress } from '../http-address.ts';
import { preparedRequest } from '../json-channel.ts';
import type { Channel } from '../notifier.ts';
import { secretsOfUrl } from '../redact.ts';
import { renderTexts, templateOptions } from '../templates.ts';
import { PLAIN } from '../text-format.ts';

export const healthchecksOptions = z.object({
  preset: z.literal('healthchecks'),
  url: webAddress.meta({ title: 'Ping URL', description: 'Of a check: https://hc-ping.com/…' }),
  caFile: z.string().max(1000).default('').meta({
    title: 'CA file',
    description: 'File with certificates of authorities to trust, beside those that the host trusts',
  }),
  ...templateOptions.shape,
});

export type HealthchecksOptions = z.output<typeof healthchecksOptions>;

/** What is kept of a body is 100 kB: https://healthchecks.io/docs/attaching_logs/ */
const LONGEST_BODY = 20_000;

/**
 * Pings of healthchecks.io, which raises the alarm by itself when they stay away: start, success, failure, and a line of
 * its log for what is neither. (https://healthchecks.io/docs/http_api/)
 */
export function createHealthchecksChannel(options: HealthchecksOptions): Channel {
  const { url, caFile } = options;
  return {
    name: 'healthchecks',
    describe: () => `healthchecks (${hostOf(url)})`,
    secrets: secretsOfUrl(url),
    prepare(content) {
      const { title, body, notes } = renderTexts(options, content, PLAIN, LONGEST_BODY);
      const text = [title, ...notes, body ?? plainBody(content)].join('\n');
      return preparedRequest({
        request: {
          url: pingAddress(url, content),
          method: 'POST',
          headers: { 'Content-Type': 'text/plain; charset=utf-8' },
          body: shorten(text, LONGEST_BODY),
          caFile,
        },
        notes,
        check(answer) {
          // It answers 200 to pings that it does not count: "OK (not found)", "OK (rate limited)".
          if (answer.text.trim() === 'OK') return {};
          const transient = /rate limited/i.test(answer.text);
          throw new DeliveryError(`the ping was not counted${quote(answer.text)}`, { transient });
        },
      });
    },
  };
}

/** The address for an event; start and end of a run are paired by its id. */
export function pingAddress(url: string, { event, severity, runId }: NotificationContent): string {
  const signal = signalOf(event, severity);
  const address = new URL(signal === 'success' ? url : addressBelow(url, signal));
  if (runId !== undefined && signal !== 'log') address.searchParams.set('rid', uuidOf(runId));
  return address.href;
}

/** The same UUID for the same run: the service takes no other ids. */
function uuidOf(runId: string): string {
  const hash = createHash('sha256').update(runId).digest('hex');
  // Version 8 of RFC 9562: made by a way of our own.
  const parts = [hash.slice(0, 8), hash.slice(8, 12), `8${hash.slice(13, 16)}`, `a${hash.slice(17, 20)}`];
  return [...parts, hash.slice(20, 32)].join('-');
}

function signalOf(
  event: NotificationContent['event'],
  severity: NotificationContent['severity'],
): 'start' | 'success' | 'fail' | 'log' {
  switch (event) {
    case 'started':
      return 'start';
    case 'succeeded':
    case 'recovered':
      return 'success';
    case 'partial':
    case 'cancelled':
      return 'fail';
    default:
      return severity === 'error' && event !== 'digest' ? 'fail' : 'log';
  }
}
