import { BackupError, type ErrorCode } from '../errors.ts';

/** Why a service did not take a message. */
export class DeliveryError extends BackupError {
  /** How long the service asks to wait before the next attempt, in ms. */
  readonly retryAfterMs: number | undefined;

  constructor(
    message: string,
    options: {
      readonly transient: boolean;
      readonly code?: ErrorCode;
      readonly retryAfterMs?: number | undefined;
      readonly cause?: unknown;
    },
  ) {
    const { code = 'unavailable', transient, retryAfterMs, cause } = options;
    super(code, message, cause === undefined ? { transient } : { transient, cause });
    this.name = 'DeliveryError';
    this.retryAfterMs = retryAfterMs;
  }
}
