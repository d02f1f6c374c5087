import { BackupError } from '../../../lib/errors.ts';
import { type RunParameter, withoutRunParameters } from '../../../lib/plan/run-parameters.ts';
import { checkBearer, checkHubSignature } from '../../../lib/webhooks/credentials-check.ts';
import type { Refusal } from '../../../lib/webhooks/refusal.ts';
import { readBody } from '../../../lib/webhooks/request-body.ts';
import { checkTimedSignature } from '../../../lib/webhooks/timed-signature.ts';
import { UsedSignatures } from '../../../lib/webhooks/used-signatures.ts';
import type { BackupMessage, Deliver, NodeContext } from '../../define-node.ts';
import { formatTime } from '../../status/quantities.ts';
import { type HttpExchange, httpExchange, withoutRequest } from './http-exchange.ts';
import type { WebhookSettings } from './webhook-settings.ts';

const CHALLENGE = { 'www-authenticate': 'Bearer realm="dbackup"' };

/** Signatures that were used, by node: a deploy shall not let them pass again. */
const used = new WeakMap<object, Map<string, UsedSignatures>>();

/**
 * Lets requests pass that may start a backup, with the parameters that they give as properties of the message, and answers
 * all others itself.
 */
export class WebhookNode {
  readonly #context: NodeContext<WebhookSettings>;

  constructor(context: NodeContext<WebhookSettings>) {
    this.#context = context;
  }

  /** From now on signatures are remembered. */
  begin(): void {
    this.#usedSignatures();
  }

  /** @throws BackupError `invalid-config` when the nodes before it are not set up for it */
  receive(message: BackupMessage, deliver: Deliver): void {
    const exchange = httpExchange(message);
    const refused = this.#check(exchange, message.payload);
    if (refused !== undefined) {
      this.#refuse(exchange, refused);
      return;
    }
    const body = readBody(message.payload, this.#context.settings.parameters as RunParameter[]);
    if ('reason' in body) {
      this.#refuse(exchange, body);
      return;
    }
    const { runtime, text, type } = this.#context;
    const passed = text(`${type}.status.passed`, { time: this.#time(runtime.clock.now()) });
    this.#context.status({ fill: 'green', shape: 'dot', text: passed });
    const rest = withoutRunParameters(withoutRequest(message));
    deliver({ ...rest, payload: body.content ?? {}, ...body.parameters });
  }

  #check(exchange: HttpExchange, payload: unknown): Refusal | undefined {
    const { settings } = this.#context;
    const { check, secret } = settings;
    if (check === 'bearer') return checkBearer(exchange.header('authorization'), secret);
    const body = this.#rawBody(exchange, payload);
    if (check === 'github') return checkHubSignature(exchange.header('x-hub-signature-256'), body, secret);
    const timed = checkTimedSignature(exchange.header('x-dbackup-signature'), body, secret);
    return 'reason' in timed ? timed : this.#usedSignatures().use(timed, settings.tolerance);
  }

  /** @throws BackupError `invalid-config` when the HTTP In node has parsed it */
  #rawBody(exchange: HttpExchange, payload: unknown): Buffer {
    if (Buffer.isBuffer(payload)) return payload;
    exchange.answer(500, { error: 'The webhook is not set up: see its node' });
    throw new BackupError(
      'invalid-config',
      'Signatures are made over the bytes of the body, which the HTTP In node has parsed: tick "Do not parse request body" there, with a method that has a body, such as POST',
    );
  }

  /** It is the sender's error, not the flow's. */
  #refuse(exchange: HttpExchange, { status, reason, message }: Refusal): void {
    const { runtime, text, type, settings } = this.#context;
    const challenge = status === 401 && settings.check === 'bearer' ? CHALLENGE : {};
    exchange.answer(status, { error: message }, challenge);
    const values = { reason: text(`${type}.reasons.${reason}`), time: this.#time(runtime.clock.now()) };
    this.#context.status({ fill: 'yellow', shape: 'ring', text: text(`${type}.status.refused`, values) });
  }

  #usedSignatures(): UsedSignatures {
    const { runtime, id } = this.#context;
    const byNode = used.get(runtime) ?? new Map<string, UsedSignatures>();
    used.set(runtime, byNode);
    const known = byNode.get(id) ?? new UsedSignatures(runtime.clock);
    byNode.set(id, known);
    return known;
  }

  #time(at: number): string {
    return formatTime(new Date(at));
  }
}
