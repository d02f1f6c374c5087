import type { PostgresSession } from './connect.ts';

/** How often statements are looked at, in ms: often enough to be just, seldom enough to cost nothing. */
const OFTEN_MS = 200;
const SELDOM_MS = 10_000;

const CANCEL = `
  SELECT pg_cancel_backend(pid)
    FROM pg_stat_activity
   WHERE application_name = $1 AND state = 'active' AND pid <> pg_backend_pid()
     AND clock_timestamp() - query_start > make_interval(secs => $2)`;

/**
 * Cancels the statements of a tool that run for too long, until the returned function is called. Setting
 * `statement_timeout` for its session does not help: pg_dump sets it to 0 when it begins.
 * @param name of the tool's session, which no other one has
 * @param session of the same user
 */
export function watchStatements(session: PostgresSession, name: string, timeoutSeconds: number): () => void {
  const pause = Math.min(SELDOM_MS, Math.max(OFTEN_MS, (timeoutSeconds * 1000) / 10));
  let asks = false;
  const timer = setInterval(() => {
    if (asks) return;
    asks = true;
    // A session that is lost ends the watch, not the dump.
    session.query(CANCEL, [name, timeoutSeconds]).then(
      () => {
        asks = false;
      },
      () => clearInterval(timer),
    );
  }, pause);
  return () => clearInterval(timer);
}
