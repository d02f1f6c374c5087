import assert from 'node:assert/strict';
import type { NotificationContent } from '../../lib/notifiers/content.ts';
import { type Channel, createNotifier, type NotifierOptions } from '../../lib/notifiers/notifier.ts';
import {
  MOST_PROGRESS_SENDS,
  MOST_SENDS,
  MOST_WAITING,
  Outbox,
  type Sent,
} from '../../lib/notifiers/outbox.ts';
import { createWebhookChannel, webhookOptions } from '../../lib/notifiers/webhook/webhook.ts';
import { RecordingHttp } from '../servers/recording-http.ts';
import { HurriedClock } from '../support/hurried-clock.ts';
import { contentOf, sampleEvent, sampleProgress } from '../support/sample-events.ts';
import { until } from '../support/until.ts';

const LONG_MS = 60_000;

describe('what a notifier has under way while its service is dead', () => {
  let server: RecordingHttp;
  let closing: AbortController;
  let warnings: string[];
  /** Jobs of what has been begun to be sent, in its order. */
  let begun: string[];
  const onWarning = (warning: Error) => warnings.push(warning.message);

  beforeEach(async () => {
    server = await RecordingHttp.start();
    closing = new AbortController();
    warnings = [];
    begun = [];
    process.on('warning', onWarning);
  });

  afterEach(async () => {
    closing.abort();
    await server.close();
    process.off('warning', onWarning);
    assert.deepEqual(warnings, []);
  });

  /** A webhook whose body tells the job and how far its run is. */
  const outbox = (options: Partial<NotifierOptions> = {}) => {
    const channel = createWebhookChannel(
      webhookOptions.parse({
        preset: 'custom',
        url: server.url,
        contentType: 'text/plain',
        payload: '{{ job }} {{ event }} {{ rawBytes }}',
      }),
    );
    const watched: Channel = {
      ...channel,
      prepare(content) {
        begun.push(content.job ?? '');
        return channel.prepare(content);
      },
    };
    const clock = new HurriedClock(LONG_MS);
    return new Outbox(
      createNotifier(watched, { clock, random: () => 0.5, attemptMs: LONG_MS, ...options }),
      closing.signal,
    );
  };

  const progress = (bytes: number, run = 1) =>
    contentOf(sampleProgress(bytes, { runId: `run-${run}`, job: `job-${run}` }));
  const end = (run = 1) =>
    contentOf({ ...sampleEvent('failed'), runId: `run-${run}`, job: `job-${run}`, rawBytes: 0 });
  const bodies = () => server.requests.map(({ body }) => body);
  const statuses = async (sends: Promise<Sent>[]) => (await Promise.all(sends)).map(({ status }) => status);
  const sendAll = (box: Outbox, contents: NotificationContent[]) =>
    contents.map((content) => box.send(content));
  const sendEnds = (box: Outbox, count: number) =>
    sendAll(
      box,
      numbers(count).map((run) => end(run)),
    );
  /** The first is under way, and the others have come behind it. */
  const sendProgress = async (box: Outbox, contents: NotificationContent[]) => {
    const [first, ...others] = contents;
    assert.ok(first !== undefined);
    const hanging = server.hanging;
    const sends = [box.send(first)];
    await until(() => server.hanging === hanging + 1);
    return [...sends, ...sendAll(box, others)];
  };
  const numbers = (count: number) => Array.from({ length: count }, (_, index) => index + 1);

  it('sends of a run one progress at a time, and after it the newest', async () => {
    server.usual = 'hang';
    const box = outbox();
    const sends = await sendProgress(
      box,
      numbers(200).map((bytes) => progress(bytes)),
    );
    assert.deepEqual(
      (await statuses(sends.slice(1, -1))).filter((status) => status !== 'overtaken'),
      [],
      'those between are let go at once',
    );
    assert.equal(server.requests.length, 1);
    server.usual = {};
    server.release();
    assert.deepEqual(await statuses([...sends.slice(0, 1), ...sends.slice(-1)]), ['delivered', 'delivered']);
    assert.deepEqual(bodies(), ['job-1 progress 1', 'job-1 progress 200']);
  });

  it('tells the end of a run at once, and no progress after it', async () => {
    server.usual = 'hang';
    const box = outbox();
    const sends = await sendProgress(box, [progress(1), progress(2), progress(3)]);
    server.usual = {};
    box.endProgressOf(end());
    assert.equal((await box.send(end())).status, 'delivered');
    assert.deepEqual(await statuses(sends), ['overtaken', 'overtaken', 'overtaken']);
    await until(() => server.hanging === 0);
    server.release();
    assert.deepEqual(bodies(), ['job-1 progress 1', 'job-1 failed 0']);
  });

  it('leaves the progress of other runs alone when one ends', async () => {
    server.usual = 'hang';
    const box = outbox();
    const sends = [
      ...(await sendProgress(box, [progress(1, 1), progress(2, 1)])),
      ...(await sendProgress(box, [progress(1, 2), progress(2, 2)])),
    ];
    server.usual = {};
    box.endProgressOf(end(1));
    await until(() => server.hanging === 1);
    server.release();
    assert.deepEqual(await statuses(sends), ['overtaken', 'overtaken', 'delivered', 'delivered']);
    assert.equal(bodies().at(-1), 'job-2 progress 2');
  });

  it('tries progress once and an end five times, and is ready for more progress after a failure', async () => {
    server.usual = 'reset';
    const box = outbox();
    assert.deepEqual(await statuses([box.send(progress(1))]), ['failed']);
    assert.deepEqual(await statuses([box.send(progress(2))]), ['failed']);
    assert.equal(server.requests.length, 2);
    const failed = await box.send(end());
    assert.deepEqual([failed.status, 'attempts' in failed && failed.attempts], ['failed', 5]);
    server.usual = {};
    assert.deepEqual(await statuses([box.send(progress(3))]), ['delivered']);
  });

  it('lets no end wait for progress, of however many runs', async () => {
    server.usual = 'hang';
    const box = outbox();
    const older = sendAll(
      box,
      numbers(50).map((run) => progress(1, run)),
    );
    await until(() => server.hanging === MOST_PROGRESS_SENDS);
    const newest = sendAll(
      box,
      numbers(50).map((run) => progress(2, run)),
    );
    server.usual = {};
    assert.equal((await box.send(end(99))).status, 'delivered');
    assert.equal(server.requests.length, MOST_PROGRESS_SENDS + 1);
    server.release();
    assert.deepEqual(new Set(await statuses(newest)), new Set(['delivered']));
    const told = (await statuses(older)).filter((status) => status === 'delivered');
    assert.equal(told.length, MOST_PROGRESS_SENDS, 'of the others the newest only');
  });

  it('has a bounded number of ends under way, and sends the others in their order', async () => {
    server.usual = 'hang';
    const box = outbox();
    const sends = sendEnds(box, 100);
    await until(() => server.hanging === MOST_SENDS);
    await new Promise((resolve) => setTimeout(resolve, 200));
    assert.equal(server.requests.length, MOST_SENDS);
    server.usual = {};
    server.release();
    assert.deepEqual(new Set(await statuses(sends)), new Set(['delivered']));
    assert.deepEqual(
      begun,
      numbers(100).map((run) => `job-${run}`),
    );
  });

  it('keeps all attempts of an end that has waited for others', async () => {
    server.usual = 'hang';
    const box = outbox();
    const sends = sendEnds(box, MOST_SENDS + 1);
    await until(() => server.hanging === MOST_SENDS);
    server.next.push({ status: 503 }, { status: 503 }, { status: 503 }, { status: 503 });
    server.usual = {};
    server.release();
    const last = await sends.at(-1);
    assert.deepEqual(
      [last?.status, last !== undefined && 'attempts' in last && last.attempts],
      ['delivered', 5],
    );
    await Promise.all(sends);
  });

  it('says at once that an end cannot be told when too many wait, and tells those that wait', async () => {
    server.usual = 'hang';
    const box = outbox();
    const sends = sendEnds(box, MOST_SENDS + MOST_WAITING);
    await until(() => server.hanging === MOST_SENDS);
    const refused = await box.send(end(9999));
    assert.equal(refused.status, 'failed');
    assert.match(
      ('error' in refused && refused.error?.message) || '',
      /127\.0\.0\.1:\d+\) was not notified: 1000 notifications wait already/,
    );
    assert.equal(
      await Promise.race([box.send(progress(1)), until(() => server.hanging === MOST_SENDS + 1)]),
      undefined,
      'progress has a way of its own',
    );
    server.usual = {};
    server.release();
    assert.deepEqual(new Set(await statuses(sends)), new Set(['delivered']));
    assert.equal(server.requests.length, MOST_SENDS + MOST_WAITING + 1);
  });

  it('bounds the runs whose progress waits', async () => {
    server.usual = 'hang';
    const box = outbox();
    const sends = sendAll(
      box,
      numbers(MOST_WAITING).map((run) => progress(1, run)),
    );
    const refused = await box.send(progress(1, 9999));
    assert.equal(refused.status, 'failed');
    const again = box.send(progress(2, MOST_WAITING));
    assert.deepEqual(await statuses(sends.slice(-1)), ['overtaken'], 'a run that is known has its place');
    box.endProgress();
    assert.deepEqual(new Set(await statuses([...sends, again])), new Set(['overtaken']));
  });

  it('lets go of everything when all ends', async () => {
    server.usual = 'hang';
    const box = outbox();
    const ends = sendEnds(box, 50);
    await until(() => server.hanging === MOST_SENDS);
    const sends = await sendProgress(box, [progress(1), progress(2)]);
    closing.abort();
    assert.deepEqual(new Set(await statuses(ends)), new Set(['failed']));
    const [first] = await Promise.all(ends);
    assert.equal(first !== undefined && 'error' in first && first.error?.code, 'aborted');
    assert.deepEqual(await statuses(sends), ['failed', 'overtaken']);
    await until(() => server.hanging === 0);
    assert.equal((await box.send(progress(3))).status, 'overtaken');
    assert.equal(server.requests.length, MOST_SENDS + 1);
  });

  it('tells no progress any more when its node is replaced, and goes on with all else', async () => {
    server.usual = 'hang';
    const box = outbox();
    const sends = await sendProgress(box, [progress(1), progress(2)]);
    const told = box.send(end(2));
    await until(() => server.hanging === 2);
    box.endProgress();
    assert.deepEqual(await statuses(sends), ['overtaken', 'overtaken']);
    assert.equal((await box.send(contentOf(sampleProgress(3)))).status, 'overtaken');
    server.release();
    assert.equal((await told).status, 'delivered');
  });
});
