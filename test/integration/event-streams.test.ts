import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer, get, type IncomingMessage, type Server } from 'node:http';
import { type AddressInfo, connect } from 'node:net';
import { BackupEvents } from '../../lib/events/event-bus.ts';
import { EventFeed } from '../../lib/events/event-feed.ts';
import type { BackupEvent, ToldEvent } from '../../lib/events/run-event.ts';
import { EventStreams } from '../../nodes/operations/event-streams.ts';
import { FakeClock } from '../support/fake-clock.ts';
import { until } from '../support/until.ts';

interface Frame {
  readonly id?: string;
  readonly event?: string;
  readonly data?: BackupEvent;
}

/** A client that reads frames as the standard says, as far as ours have them. */
class Client {
  readonly response: IncomingMessage;
  /** What it has got beside events. */
  text = '';
  readonly frames: Frame[] = [];
  ended = false;
  #rest = '';

  constructor(response: IncomingMessage) {
    this.response = response;
    response.setEncoding('utf8');
    response.on('data', (text: string) => this.#take(text));
    // A connection that is cut is an end, too.
    response.on('error', () => undefined);
    response.on('close', () => (this.ended = true));
  }

  #take(text: string): void {
    const blocks = (this.#rest + text).split('\n\n');
    this.#rest = blocks.pop() ?? '';
    for (const block of blocks) {
      const fields = new Map(block.split('\n').map((line) => line.split(/: (.*)/s) as [string, string]));
      const [id, event, data] = [fields.get('id'), fields.get('event'), fields.get('data')];
      if (event === undefined || data === undefined) this.text += `${block}\n\n`;
      else
        this.frames.push({
          ...(id === undefined ? {} : { id }),
          event,
          data: JSON.parse(data) as BackupEvent,
        });
    }
  }

  /** What it was told instead of events. */
  get answer(): string {
    return this.#rest;
  }

  /** Waits for that many events. */
  async events(count: number): Promise<Frame[]> {
    await until(() => this.frames.length >= count);
    return this.frames;
  }
}

describe('events over HTTP', () => {
  let clock: FakeClock;
  let bus: BackupEvents;
  let feed: EventFeed;
  let streams: EventStreams;
  let server: Server;
  const clients: Client[] = [];

  beforeEach(async () => {
    clock = new FakeClock('2026-05-01T12:00:00Z');
    bus = new BackupEvents(clock);
    feed = new EventFeed(bus);
    streams = new EventStreams(feed, clock);
    server = createServer((request, response) => streams.serve(request, response));
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
  });

  afterEach(async () => {
    for (const { response } of clients.splice(0)) response.destroy();
    feed.dispose();
    server.closeAllConnections();
    server.close();
    await once(server, 'close');
  });

  const port = () => (server.address() as AddressInfo).port;

  async function listen(lastEventId?: string): Promise<Client> {
    const headers = lastEventId === undefined ? {} : { 'last-event-id': lastEventId };
    const request = get({ host: '127.0.0.1', port: port(), headers, agent: false });
    const [response] = (await once(request, 'response')) as [IncomingMessage];
    const client = new Client(response);
    clients.push(client);
    return client;
  }

  const started = (runId: string, summary = 'begins'): ToldEvent => ({
    event: 'started',
    job: 'shop',
    runId,
    summary,
  });
  const progress = (rawBytes: number): ToldEvent => ({
    event: 'progress',
    job: 'shop',
    runId: 'r',
    summary: 'p',
    stage: 'dumping',
    database: 'orders',
    index: 1,
    count: 1,
    rawBytes,
    rate: 1,
    destinations: [],
  });
  const runsOf = (frames: readonly Frame[]) =>
    frames.map(({ data }) => (data !== undefined && 'runId' in data ? data.runId : ''));

  it('come as they happen, with names and ids; progress without an id', async () => {
    const client = await listen();
    assert.equal(client.response.statusCode, 200);
    assert.match(client.response.headers['content-type'] ?? '', /^text\/event-stream/);
    assert.equal(client.response.headers['cache-control'], 'no-store');
    bus.tell(started('a', 'two\nlines'));
    bus.tell(progress(7));
    const [first, second] = await client.events(2);
    assert.match(client.text, /^retry: 3000\n\n/);
    assert.equal(first?.event, 'started');
    assert.equal(first?.data?.summary, 'two\nlines');
    assert.match(first?.id ?? '', /^[0-9a-f]+-1$/);
    assert.equal(second?.event, 'progress');
    assert.equal(second?.id, undefined);
  });

  it('keep no place for a client that has left before it was served', async () => {
    const asked = once(server, 'asked');
    server.removeAllListeners('request');
    server.on('request', (request, response) => {
      response.on('close', () => {
        streams.serve(request, response);
        server.emit('served');
      });
      server.emit('asked');
    });
    const served = once(server, 'served');
    const request = get({ host: '127.0.0.1', port: port(), agent: false });
    request.on('error', () => undefined);
    await asked;
    request.destroy();
    await served;
    assert.equal(streams.size, 0);
  });

  it('go on where a client was when its connection was lost', async () => {
    const client = await listen();
    bus.tell(started('a'));
    const [seen] = await client.events(1);
    client.response.destroy();
    await until(() => streams.size === 0);
    bus.tell(started('b'));
    bus.tell(progress(1));
    bus.tell(started('c'));
    const back = await listen(seen?.id);
    bus.tell(started('d'));
    assert.deepEqual(runsOf(await back.events(3)), ['b', 'c', 'd']);
    const fresh = await listen();
    bus.tell(started('e'));
    assert.deepEqual(runsOf(await fresh.events(1)), ['e']);
  });

  it('show that the connection lives', async () => {
    const client = await listen();
    await clock.pass(45_000);
    await until(() => client.text.split(': still here').length === 4);
    assert.deepEqual(client.frames, []);
  });

  it('cut off a client that stops reading, and leave the others alone', async () => {
    const socket = connect(port(), '127.0.0.1');
    socket.on('error', () => undefined);
    await once(socket, 'connect');
    socket.pause();
    socket.write('GET / HTTP/1.1\r\nHost: x\r\n\r\n');
    const reader = await listen();
    await until(() => streams.size === 2);
    // Far more than sockets hold.
    const big = 'x'.repeat(60_000);
    let told = 0;
    while (streams.size === 2 && told < 2000) {
      bus.tell(started(`r${told}`, big));
      told += 1;
      await reader.events(told);
    }
    assert.equal(streams.size, 1, `${told} events did not cut it off`);
    assert.equal(reader.frames.length, told, 'nothing is lost for who reads');
    bus.tell(started('last'));
    await reader.events(told + 1);
    socket.destroy();
  }).timeout(60_000);

  it('cut off a client that takes nothing for two heartbeats', async () => {
    const socket = connect(port(), '127.0.0.1');
    socket.on('error', () => undefined);
    await once(socket, 'connect');
    socket.pause();
    socket.write('GET / HTTP/1.1\r\nHost: x\r\n\r\n');
    await until(() => streams.size === 1);
    // As much as the sockets hold, and some more, but few events.
    for (let told = 0; told < 20; told += 1) bus.tell(started(`r${told}`, 'x'.repeat(2_000_000)));
    await clock.pass(15_000);
    assert.equal(streams.size, 1);
    await clock.pass(15_000);
    await until(() => streams.size === 0);
    socket.destroy();
  });

  it('spare a client that is behind the progress, not the rest', async () => {
    const client = await listen();
    client.response.pause();
    await until(() => streams.size === 1);
    for (let told = 0; told < 10; told += 1) bus.tell(started(`r${told}`, 'x'.repeat(2_000_000)));
    for (let told = 0; told < 10; told += 1) bus.tell(progress(told));
    bus.tell(started('last'));
    client.response.resume();
    await until(() => runsOf(client.frames).includes('last'));
    assert.deepEqual(runsOf(client.frames), [...Array.from({ length: 10 }, (_, told) => `r${told}`), 'last']);
  });

  it('forget a client that leaves', async () => {
    const client = await listen();
    await until(() => streams.size === 1);
    client.response.destroy();
    await until(() => streams.size === 0);
    assert.equal(clock.waiting, 0, 'no heartbeat is left');
    bus.tell(started('a'));
  });

  it('end with the process, and refuse who comes then', async () => {
    const client = await listen();
    await until(() => streams.size === 1);
    streams.close();
    await until(() => client.ended && streams.size === 0);
    assert.ok(client.response.complete, 'it is a clean end');
    const late = await listen();
    assert.equal(late.response.statusCode, 503);
    await until(() => late.answer === 'DBackup is ending\n');
    assert.equal(clock.waiting, 0);
  });

  it('are for a hundred clients at a time', async () => {
    for (let count = 0; count < 100; count += 1) await listen();
    const refused = await listen();
    assert.equal(refused.response.statusCode, 503);
    await until(() => /100 clients listen already/.test(refused.answer));
  });
});
