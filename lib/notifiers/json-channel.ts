import type { NotificationContent } from './content.ts';
import { type HttpAnswer, type HttpRequest, requireSuccess, sendHttp } from './http.ts';
import type { Prepared, Receipt } from './notifier.ts';

/** A request of a channel, and what its answer must be. */
export interface ChannelRequest {
  readonly request: HttpRequest;
  readonly notes: readonly string[];
  /** Headers that each attempt has anew. */
  headersNow?(): Readonly<Record<string, string>>;
  /** How long the service asks to wait in the body of its answer, in ms. */
  retryHint?(answer: HttpAnswer): number | undefined;
  /** @throws DeliveryError when the service says, by an answer of any kind, that it did not take the message */
  check?(answer: HttpAnswer): Receipt;
}

/** A message that is one request. */
export function preparedRequest(given: ChannelRequest): Prepared {
  const { request, notes, headersNow, retryHint, check = receipt } = given;
  return {
    notes,
    async attempt(signal) {
      const answer = await sendHttp(
        { ...request, headers: { ...headersNow?.(), ...request.headers } },
        signal,
      );
      requireSuccess({ ...answer, retryAfterMs: retryHint?.(answer) ?? answer.retryAfterMs });
      return check(answer);
    },
  };
}

function receipt(): Receipt {
  return {};
}

/** A request with a JSON body. */
export function jsonRequest(
  url: string,
  body: unknown,
  headers: Readonly<Record<string, string>> = {},
): HttpRequest {
  return {
    url,
    method: 'POST',
    headers: { 'Content-Type': 'application/json; charset=utf-8', ...headers },
    body: JSON.stringify(body),
  };
}

/** A receipt with the name that the service gave to the message. */
export function receiptOf(id: unknown): Receipt {
  return typeof id === 'string' || typeof id === 'number' ? { responseId: String(id).slice(0, 200) } : {};
}

/** Events that only tell how far something is: channels that raise alarms have nothing to tell of them. */
export function isMovement({ event }: Pick<NotificationContent, 'event'>): boolean {
  return event === 'started' || event === 'progress';
}
