import { z } from 'zod';
import type { Channel } from '../notifier.ts';
import { createCustomWebhook, customWebhookOptions } from './custom.ts';
import { createGotifyChannel, gotifyOptions } from './gotify.ts';
import { createHealthchecksChannel, healthchecksOptions } from './healthchecks.ts';
import { createNtfyChannel, ntfyOptions } from './ntfy.ts';
import { createPagerdutyChannel, pagerdutyOptions } from './pagerduty.ts';
import { createTelegramChannel, telegramOptions } from './telegram.ts';
import { createUptimeKumaChannel, uptimeKumaOptions } from './uptime-kuma.ts';

/** A webhook of any form, or that of a known service. */
export const webhookOptions = z.discriminatedUnion('preset', [
  customWebhookOptions,
  pagerdutyOptions,
  ntfyOptions,
  gotifyOptions,
  uptimeKumaOptions,
  healthchecksOptions,
  telegramOptions,
]);

export type WebhookOptions = z.output<typeof webhookOptions>;

export function createWebhookChannel(options: WebhookOptions): Channel {
  switch (options.preset) {
    case 'custom':
      return createCustomWebhook(options);
    case 'pagerduty':
      return createPagerdutyChannel(options);
    case 'ntfy':
      return createNtfyChannel(options);
    case 'gotify':
      return createGotifyChannel(options);
    case 'uptime-kuma':
      return createUptimeKumaChannel(options);
    case 'healthchecks':
      return createHealthchecksChannel(options);
    case 'telegram':
      return createTelegramChannel(options);
  }
}
