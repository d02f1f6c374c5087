import { z } from 'zod';
import { sshOptions } from '../../lib/ssh/options.ts';
import { nodeName } from '../forms/common-fields.ts';
import { authField, firstSshFields, havingKey, hostKeysField, signInFields } from './ssh-fields.ts';

const first = {
  name: nodeName,
  ...firstSshFields,
  host: firstSshFields.host.meta({ placeholder: 'bastion.example.com' }),
};
const last = { hostKeys: hostKeysField(sshOptions.options[0].shape.hostKeys) };

/** Who the host is and how it lets us in, in one of three ways. */
export const sshSettings = z.discriminatedUnion('auth', [
  havingKey(z.object({ ...first, auth: authField.key, ...signInFields.key, ...last })),
  z.object({ ...first, auth: authField.password, ...signInFields.password, ...last }),
  z.object({ ...first, auth: authField.agent, ...signInFields.agent, ...last }),
]);

export type SshSettings = z.output<typeof sshSettings>;
