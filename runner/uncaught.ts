import { redact } from '../lib/logs/redact.ts';
import type { LogLine } from './runtime.ts';

/**
 * Reports what no one caught, a timer of a third-party node that throws, instead of letting it end the
 * process in the middle of a backup. Returns the function that takes the handlers away again.
 */
export function catchUncaught(report: (error: Error) => void, logger: (line: LogLine) => void): () => void {
  const handle = (thrown: unknown): void => {
    const error = thrown instanceof Error ? thrown : new Error(String(thrown));
    logger({ level: 'error', message: redact(`Uncaught: ${error.stack ?? error.message}`) });
    report(error);
  };
  process.on('uncaughtException', handle);
  process.on('unhandledRejection', handle);
  return () => {
    process.removeListener('uncaughtException', handle);
    process.removeListener('unhandledRejection', handle);
  };
}
