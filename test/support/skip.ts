const REASON = Symbol.for('dbackup.test.skip-reason');

/**
 * Skips the test (from a hook: every test of its suite) and says why; the test runner prints it. A reason
 * that begins with `foreign suite:` marks a server of other people that is not always there.
 */
export function skipBecause(context: Mocha.Context, reason: string): never {
  const runnable = context.test;
  const isHook = runnable !== undefined && Reflect.get(runnable, 'type') === 'hook';
  const bearer = isHook ? runnable.parent : runnable;
  if (bearer !== undefined) Object.assign(bearer, { [REASON]: reason });
  return context.skip();
}

/** Why a test was skipped: its own reason, or that of a suite around it. */
export function skipReason(test: Mocha.Test): string | undefined {
  for (
    let bearer: Mocha.Test | Mocha.Suite | undefined = test;
    bearer !== undefined;
    bearer = bearer.parent
  ) {
    const reason: unknown = Reflect.get(bearer, REASON);
    if (typeof reason === 'string') return reason;
  }
  return undefined;
}
