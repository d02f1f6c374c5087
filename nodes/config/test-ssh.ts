import { BackupError } from '../../lib/errors.ts';
import type { SshConnection } from '../../lib/ssh/connection.ts';
import type { SshOptions } from '../../lib/ssh/options.ts';
import type { ActionAnswer } from '../form-actions.ts';

/** Stands in while no host key is known: a fingerprint that no key has, so that the host is asked for its own. */
export const UNKNOWN_HOST_KEY = `SHA256:${'A'.repeat(43)}`;

/** The keys in the text of a refusal, with their types. */
const SHOWN_KEY = /(SHA256:[A-Za-z0-9+/]{43}) \(([\w@.-]+)\)/g;

/**
 * Tells whether the host is the one that is trusted and lets us in. Of one that is not trusted it shows the
 * keys, to be compared and chosen; nothing that proves who we are was sent to it then.
 */
export async function testSsh(
  { host, user, hostKeys }: SshOptions,
  connect: () => Promise<SshConnection>,
): Promise<ActionAnswer> {
  try {
    const connection = await connect();
    await connection.close();
    return { level: 'ok', text: 'test.ok', values: { host, user } };
  } catch (error) {
    const rows = keysOf(error);
    if (rows.length === 0) throw error;
    const isFirstTime = hostKeys.join() === UNKNOWN_HOST_KEY;
    return { level: 'warning', text: isFirstTime ? 'test.unknown' : 'test.other', values: { host }, rows };
  }
}

function keysOf(error: unknown) {
  if (!(error instanceof BackupError) || error.code !== 'permission') return [];
  return [...error.message.matchAll(SHOWN_KEY)].map(([, fingerprint = '', type = '']) => ({
    name: fingerprint,
    detail: type,
    entry: fingerprint,
  }));
}
