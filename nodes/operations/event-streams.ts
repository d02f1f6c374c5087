import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Clock, ClockTimer } from '../../lib/clock.ts';
import type { EventFeed, FedEvent } from '../../lib/events/event-feed.ts';

/** How often a client hears something, so that it and what lies between know that the connection lives. In ms. */
const HEARTBEAT_MS = 15_000;
/** Events that a client which reads slowly may be behind. */
const MAX_BEHIND = 400;
const MAX_CLIENTS = 100;
/** How soon a client comes back that has lost its connection, in ms. */
const RETRY_MS = 3000;

/** Sends events to HTTP clients as they happen (server-sent events, as in the HTML standard). */
export class EventStreams {
  readonly #feed: EventFeed;
  readonly #clock: Clock;
  readonly #clients = new Set<EventStream>();
  #closed = false;

  constructor(feed: EventFeed, clock: Clock) {
    this.#feed = feed;
    this.#clock = clock;
  }

  /** How many clients listen. */
  get size(): number {
    return this.#clients.size;
  }

  /** Answers a request with events until the client leaves, reads too slowly, or this process ends. */
  serve(request: IncomingMessage, response: ServerResponse): void {
    // Who has left while the permission was looked up leaves no second time.
    if (response.closed) return;
    if (this.#closed || this.#clients.size >= MAX_CLIENTS) {
      const why = this.#closed ? 'DBackup is ending' : `${MAX_CLIENTS} clients listen already`;
      response.writeHead(503, { 'content-type': 'text/plain; charset=utf-8', 'retry-after': '10' });
      response.end(`${why}\n`);
      return;
    }
    const stream = new EventStream(response, this.#clock);
    this.#clients.add(stream);
    const leave = this.#feed.follow((fed) => stream.offer(fed));
    response.on('close', () => {
      leave();
      stream.stop();
      this.#clients.delete(stream);
    });
    stream.begin(this.#feed.since(lastEventId(request)));
  }

  /** Ends every stream, and refuses new ones. */
  close(): void {
    this.#closed = true;
    for (const client of this.#clients) client.end();
  }
}

/** One client. What it has not taken yet waits here, up to a limit. */
class EventStream {
  readonly #response: ServerResponse;
  readonly #clock: Clock;
  #behind: readonly FedEvent[] = [];
  #timer: ClockTimer | undefined;
  /** It had not taken everything at the last heartbeat. */
  #late = false;

  constructor(response: ServerResponse, clock: Clock) {
    this.#response = response;
    this.#clock = clock;
  }

  begin(missed: readonly FedEvent[]): void {
    const response = this.#response;
    // It comes with a lost connection, which is the end of the stream anyhow.
    response.on('error', () => undefined);
    response.on('drain', () => this.#send());
    response.writeHead(200, {
      'content-type': 'text/event-stream; charset=utf-8',
      'cache-control': 'no-store',
      // Proxies shall hand on each event at once.
      'x-accel-buffering': 'no',
    });
    response.write(`retry: ${RETRY_MS}\n\n`);
    this.#behind = missed;
    this.#send();
    this.#beatLater();
  }

  offer(fed: FedEvent): void {
    const isBehind = this.#behind.length > 0 || this.#response.writableNeedDrain;
    // The next progress says the same and more.
    if (isBehind && fed.id === undefined) return;
    this.#behind = [...this.#behind, fed];
    if (this.#behind.length > MAX_BEHIND) this.#drop();
    else this.#send();
  }

  end(): void {
    this.stop();
    this.#response.end();
  }

  stop(): void {
    this.#timer?.cancel();
    this.#behind = [];
  }

  #send(): void {
    while (!this.#response.writableNeedDrain && !this.#response.destroyed) {
      const [next, ...rest] = this.#behind;
      if (next === undefined) return;
      this.#behind = rest;
      this.#response.write(frame(next));
    }
  }

  #beatLater(): void {
    this.#timer = this.#clock.setTimer(() => this.#beat(), HEARTBEAT_MS);
  }

  #beat(): void {
    const needsDrain = this.#response.writableNeedDrain;
    if (needsDrain && this.#late) {
      this.#drop();
      return;
    }
    this.#late = needsDrain;
    if (!needsDrain) this.#response.write(': still here\n\n');
    this.#beatLater();
  }

  /** A client that does not read must not fill the memory. It may come back, and says then what it has seen. */
  #drop(): void {
    this.stop();
    this.#response.destroy();
  }
}

function frame({ id, event }: FedEvent): string {
  const idLine = id === undefined ? '' : `id: ${id}\n`;
  return `${idLine}event: ${event.event}\ndata: ${JSON.stringify(event)}\n\n`;
}

function lastEventId({ headers }: IncomingMessage): string | undefined {
  const id = headers['last-event-id'];
  return typeof id === 'string' && id !== '' ? id : undefined;
}
