import { connectSsh } from '../../lib/ssh/connection.ts';
import { defineNode } from '../define-node.ts';
import { offer, SSH } from '../services.ts';
import { TRUSTS_HOST_KEYS } from './host-keys.ts';
import { type SshSettings, sshSettings } from './ssh-settings.ts';
import { testSsh } from './test-ssh.ts';

/** A host that database servers are reached through. */
export const sshNode = defineNode({
  type: 'dbackup-ssh',
  set: 'config',
  role: 'config',
  icon: 'dbackup-ssh.svg',
  labelFrom: ['host'],
  inputs: 0,
  outputs: 0,
  schemaVersion: 1,
  actions: [
    {
      name: 'test',
      route: 'servers/test',
      icon: 'fa-plug',
      ...TRUSTS_HOST_KEYS,
      run: ({ name: _name, ...options }: SshSettings, { signal }) =>
        testSsh(options, () => connectSsh(options, signal)),
    },
  ],
  schema: sshSettings,
  setup(context) {
    const { name: _name, ...options } = context.settings;
    return { offers: [offer(SSH, { options: () => options })] };
  },
});
