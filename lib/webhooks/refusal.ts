/** Why a request is turned away. */
export interface Refusal {
  /** The HTTP status of the answer. */
  readonly status: 400 | 401 | 403;
  /** For texts: a word that never changes. */
  readonly reason: RefusalReason;
  /** For whoever sent it: says nothing about the secret. */
  readonly message: string;
}

export type RefusalReason = 'missing' | 'wrong' | 'expired' | 'replayed' | 'malformed' | 'forbidden';

export function refusal(status: Refusal['status'], reason: RefusalReason, message: string): Refusal {
  return { status, reason, message };
}
