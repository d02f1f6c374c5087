import { z } from 'zod';
import { cleanLine } from '../clean-text.ts';
import type { ContentEvent } from '../content.ts';
import { DeliveryError } from '../delivery-error.ts';
import { jsonObject, quote, unexpectedAnswer } from '../http.ts';
import { hostOf, webAddress } from '../http-address.ts';
import { preparedRequest } from '../json-channel.ts';
import type { Channel } from '../notifier.ts';
import { secretsOfUrl } from '../redact.ts';
import { renderTexts, templateOptions } from '../templates.ts';
import { PLAIN } from '../text-format.ts';

export const uptimeKumaOptions = z.object({
  preset: z.literal('uptime-kuma'),
  url: webAddress.meta({ title: 'Push URL', description: 'Of a monitor of the type Push: …/api/push/…' }),
  caFile: z.string().max(1000).default('').meta({
    title: 'CA file',
    description: 'File with certificates of authorities to trust, beside those that the host trusts',
  }),
  ...templateOptions.shape,
});

export type UptimeKumaOptions = z.output<typeof uptimeKumaOptions>;

const LONGEST_MESSAGE = 250;

/** Pushes to a monitor of Uptime Kuma: up with a success, down with a failure. */
export function createUptimeKumaChannel(options: UptimeKumaOptions): Channel {
  const { url, caFile } = options;
  return {
    name: 'uptime-kuma',
    describe: () => `Uptime Kuma (${hostOf(url)})`,
    secrets: secretsOfUrl(url),
    prepare(content) {
      const { durationSeconds } = content;
      const status = statusOf(content.event);
      if (status === undefined) return { skip: 'Uptime Kuma is told how runs end, and nothing else' };
      const { title, body, notes } = renderTexts(options, content, PLAIN, LONGEST_MESSAGE);
      const address = new URL(url);
      address.searchParams.set('status', status);
      address.searchParams.set('msg', cleanLine(body ?? `${title}: ${content.summary}`, LONGEST_MESSAGE));
      const ping = durationSeconds === undefined ? '' : String(Math.round(durationSeconds * 1000));
      address.searchParams.set('ping', ping);
      return preparedRequest({
        request: { url: address.href, method: 'GET', caFile },
        notes,
        check(answer) {
          const result = jsonObject(answer);
          if (result?.ok === true) return {};
          if (result?.ok !== false) throw unexpectedAnswer(answer);
          throw new DeliveryError(`it was not taken${quote(String(result.msg ?? ''))}`, { transient: false });
        },
      });
    },
  };
}

/** A push of any kind counts as a sign of life, so that only successes may be one. */
function statusOf(event: ContentEvent): 'up' | 'down' | undefined {
  switch (event) {
    case 'succeeded':
    case 'recovered':
    case 'test':
      return 'up';
    case 'partial':
    case 'failed':
    case 'cancelled':
    case 'dead-lettered':
    case 'verification-failed':
    case 'reminder':
    case 'error':
      return 'down';
    default:
      return undefined;
  }
}
