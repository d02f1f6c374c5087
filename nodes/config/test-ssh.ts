import type { SshConnection } from '../../lib/ssh/connection.ts';
import type { SshOptions } from '../../lib/ssh/options.ts';
import type { ActionAnswer } from '../form-actions.ts';
import { orShowHostKeys } from './host-keys.ts';

/** Tells whether the host is the one that is trusted and lets us in. */
export function testSsh(options: SshOptions, connect: () => Promise<SshConnection>): Promise<ActionAnswer> {
  return orShowHostKeys(options, async () => {
    const connection = await connect();
    await connection.close();
    return { level: 'ok', text: 'test.ok', values: { host: options.host, user: options.user } };
  });
}
