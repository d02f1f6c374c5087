import { BackupError } from '../../lib/errors.ts';
import type { ActionAnswer, AnswerRow, FormAction } from '../form-actions.ts';

/** Stands in while no host key is known: a fingerprint that no key has, so that the host is asked for its own. */
export const UNKNOWN_HOST_KEY = `SHA256:${'A'.repeat(43)}`;

/** What the test of a connection by SSH needs, so that a click on a key that the host has shown trusts it. */
export const TRUSTS_HOST_KEYS = {
  standIns: { hostKeys: [UNKNOWN_HOST_KEY] },
  adds: 'hostKeys',
} satisfies Partial<FormAction>;

/** The keys in the text of a refusal, with their types. */
const SHOWN_KEY = /(SHA256:[A-Za-z0-9+/]{43}) \(([\w@.-]+)\)/g;

/**
 * Makes a test of a connection by SSH. Of a host that is not trusted it shows the keys, to be compared and chosen;
 * nothing that proves who we are was sent to it then.
 */
export async function orShowHostKeys(
  { host, hostKeys }: { readonly host: string; readonly hostKeys: readonly string[] },
  test: () => Promise<ActionAnswer>,
): Promise<ActionAnswer> {
  try {
    return await test();
  } catch (error) {
    const rows = keysOf(error);
    if (rows.length === 0) throw error;
    const isFirstTime = hostKeys.join() === UNKNOWN_HOST_KEY;
    return { level: 'warning', text: isFirstTime ? 'test.unknown' : 'test.other', values: { host }, rows };
  }
}

function keysOf(error: unknown): AnswerRow[] {
  if (!(error instanceof BackupError) || error.code !== 'permission') return [];
  return [...error.message.matchAll(SHOWN_KEY)].map(([, fingerprint = '', type = '']) => ({
    name: fingerprint,
    detail: type,
    entry: fingerprint,
  }));
}
