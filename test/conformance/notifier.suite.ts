import assert from 'node:assert/strict';
import {
  type Channel,
  createNotifier,
  type Delivery,
  type NotifierOptions,
} from '../../lib/notifiers/notifier.ts';
import { HurriedClock } from '../support/hurried-clock.ts';
import { contentOf, sampleContent, sampleProgress } from '../support/sample-events.ts';
import { until } from '../support/until.ts';

/** What a service may do to a message. `refuse`: for good. `pass`: an error that passes. */
export type Misbehaviour = 'hang' | 'trickle' | 'pass' | 'reset' | 'refuse' | 'garbage' | 'redirect';

/** A channel and the service that it talks to. */
export interface NotifierFixture {
  readonly channel: Channel;
  /** The same to a service whose certificate nobody has signed that is trusted. */
  readonly untrusted: Channel;
  /** What must not be in any text. */
  readonly secrets: readonly string[];
  /** What the next attempt meets; those after it meet a service that works. */
  misbehave(what: Misbehaviour): void;
  /** How often somebody has come so far, whatever became of it. */
  attempts(): number;
  /** Messages that the service has taken. */
  taken(): number;
  /** True when the service has seen nobody come to where its redirects lead. */
  redirectsAreUnused(): boolean;
  close(): Promise<void>;
}

export interface NotifierSuite {
  readonly name: string;
  start(): Promise<NotifierFixture>;
  /** What this service cannot do. */
  readonly lacks?: readonly Misbehaviour[];
  /** Longest time of an attempt that is meant to reach it, in ms: one that works must be done by then. */
  readonly shortMs?: number;
}

/** Longest time of an attempt that is not meant to reach it, in ms. */
const LONG_MS = 60_000;

/** What every channel must do, whatever the service does. */
export function describeNotifier({ name, start, lacks = [], shortMs = 1000 }: NotifierSuite): void {
  describe(`notifier: ${name}`, () => {
    let fixture: NotifierFixture;
    const { signal } = new AbortController();

    beforeEach(async () => {
      fixture = await start();
    });

    afterEach(async () => {
      await fixture.close();
    });

    const send = async (
      channel = fixture.channel,
      options: Partial<NotifierOptions> = {},
      stop = signal,
      content = sampleContent(),
    ): Promise<{ delivery: Delivery; clock: HurriedClock }> => {
      const { attemptMs = LONG_MS } = options;
      const clock = new HurriedClock(attemptMs);
      const notifier = createNotifier(channel, { clock, random: () => 0.5, ...options, attemptMs });
      const delivery = await notifier.send(content, stop);
      assertSecretsAreHidden(JSON.stringify({ ...delivery, error: delivery.error?.message }));
      return { delivery, clock };
    };

    const assertSecretsAreHidden = (text: string) => {
      for (const secret of fixture.secrets) assert.ok(!text.includes(secret), `${secret} is in ${text}`);
    };

    const assertFailed = (delivery: Delivery, pattern: RegExp, attempts?: number) => {
      assert.equal(delivery.status, 'failed');
      assert.match(delivery.error?.message ?? '', pattern);
      assert.match(delivery.error?.message ?? '', /was not notified/);
      if (attempts !== undefined) assert.equal(delivery.attempts, attempts);
    };

    const can = (what: Misbehaviour) => (title: string, test: () => Promise<void>) => {
      if (!lacks.includes(what)) it(title, test);
    };

    it('delivers a message at the first attempt', async () => {
      const { delivery } = await send();
      assert.equal(delivery.error, undefined);
      assert.equal(delivery.status, 'delivered');
      assert.equal(delivery.attempts, 1);
      assert.equal(fixture.taken(), 1);
    });

    it('says where it sends to, without secrets', () => {
      assertSecretsAreHidden(fixture.channel.describe());
      assert.match(fixture.channel.describe(), /127\.0\.0\.1/);
    });

    it('tries again after an error that passes, after a pause', async () => {
      fixture.misbehave('pass');
      fixture.misbehave('pass');
      const { delivery, clock } = await send();
      assert.equal(delivery.status, 'delivered', delivery.error?.message);
      assert.equal(delivery.attempts, 3);
      assert.equal(fixture.taken(), 1);
      assert.equal(clock.pauses.length, 2);
      for (const pause of clock.pauses) assert.ok(pause > 0);
    });

    it('gives up in the end, and says why', async () => {
      for (let count = 0; count < 3; count += 1) fixture.misbehave('pass');
      const { delivery } = await send(fixture.channel, { attempts: 3 });
      assertFailed(delivery, /3 attempts/, 3);
      assert.equal(delivery.error?.transient, true);
      assert.equal(fixture.taken(), 0);
    });

    it('tries progress once, since more of it follows', async () => {
      fixture.misbehave('pass');
      const { delivery, clock } = await send(fixture.channel, {}, signal, contentOf(sampleProgress(1000)));
      if (delivery.status !== 'skipped') assertFailed(delivery, /./, 1);
      assert.ok(fixture.attempts() <= 1);
      assert.deepEqual(clock.pauses, []);
    });

    it('does not try again what was refused for good', async () => {
      fixture.misbehave('refuse');
      const { delivery } = await send();
      assertFailed(delivery, /./, 1);
      assert.equal(delivery.error?.transient, false);
      assert.equal(fixture.taken(), 0);
    });

    can('hang')('gives up an attempt that is not answered, and tries again', async () => {
      fixture.misbehave('hang');
      const { delivery } = await send(fixture.channel, { attemptMs: shortMs });
      assert.equal(delivery.status, 'delivered', delivery.error?.message);
      assert.equal(delivery.attempts, 2);
    });

    can('trickle')('gives up an answer that does not end', async () => {
      fixture.misbehave('trickle');
      const { delivery } = await send(fixture.channel, { attempts: 1, attemptMs: shortMs });
      assertFailed(delivery, /no answer within \d+ seconds?/, 1);
    });

    can('reset')('tries again when the connection breaks', async () => {
      fixture.misbehave('reset');
      const { delivery } = await send();
      assert.equal(delivery.status, 'delivered', delivery.error?.message);
      assert.equal(delivery.attempts, 2);
    });

    can('garbage')('takes no answer for a success that is not one of the service', async () => {
      fixture.misbehave('garbage');
      const { delivery } = await send(fixture.channel, { attempts: 1 });
      assertFailed(delivery, /./, 1);
      assert.ok((delivery.error?.message.length ?? 0) < 1000, 'it quotes little');
    });

    can('redirect')('follows no redirect', async () => {
      fixture.misbehave('redirect');
      const { delivery } = await send();
      assertFailed(delivery, /redirect/, 1);
      assert.ok(fixture.redirectsAreUnused());
    });

    it('sends nothing to a service whose certificate is not trusted', async () => {
      const before = fixture.taken();
      const { delivery } = await send(fixture.untrusted);
      assertFailed(delivery, /certificate/, 1);
      assert.equal(fixture.taken(), before);
    });

    can('hang')('ends at once when it is told to', async () => {
      fixture.misbehave('hang');
      const stop = new AbortController();
      const sending = send(fixture.channel, {}, stop.signal);
      await until(() => fixture.attempts() > 0);
      stop.abort();
      const { delivery } = await sending;
      assert.equal(delivery.status, 'failed');
      assert.equal(delivery.error?.code, 'aborted');
    });

    it('sends nothing when it is told to end before', async () => {
      const { delivery } = await send(fixture.channel, {}, AbortSignal.abort());
      assert.equal(delivery.error?.code, 'aborted');
      assert.equal(fixture.attempts(), 0);
    });
  });
}
