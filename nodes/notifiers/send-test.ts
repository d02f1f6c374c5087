import type { Clock } from '../../lib/clock.ts';
import { type Channel, createNotifier, type Delivery } from '../../lib/notifiers/notifier.ts';
import { testContent } from '../../lib/notifiers/own-content.ts';
import type { ActionAnswer } from '../form-actions.ts';

/** Longest time that a person waits for it, in ms. */
const TEST_MS = 15_000;

/** Sends a test message through a channel, once. Never rejects. */
export function sendTest(
  channel: Channel,
  from: string,
  clock: Clock,
  signal: AbortSignal,
): Promise<Delivery> {
  const notifier = createNotifier(channel, { attempts: 1, attemptMs: TEST_MS, clock });
  return notifier.send(testContent(new Date(clock.now()), from), signal);
}

/**
 * The same as the answer of a form.
 * @throws BackupError when it was not taken
 */
export async function testFromForm(
  channel: Channel,
  clock: Clock,
  signal: AbortSignal,
): Promise<ActionAnswer> {
  const delivery = await sendTest(channel, 'the editor', clock, signal);
  if (delivery.error !== undefined) throw delivery.error;
  const values = { service: channel.describe() };
  if (delivery.status === 'skipped')
    return { level: 'warning', text: 'test.skipped', values, notes: delivery.notes };
  if (delivery.notes.length > 0) return { level: 'warning', text: 'test.ok', values, notes: delivery.notes };
  return { level: 'ok', text: 'test.ok', values };
}
