import { z } from 'zod';
import { sshOptions } from '../../lib/ssh/options.ts';
import { nodeName } from '../forms/common-fields.ts';

const [key, password, agent] = sshOptions.options;
const { host, port, user, hostKeys } = key.shape;

const first = {
  name: nodeName,
  host: host.meta({ icon: 'fa-server', placeholder: 'bastion.example.com' }),
  port: port.meta({ icon: 'fa-plug' }),
  user: user.meta({ icon: 'fa-user', placeholder: 'backup' }),
};
const last = {
  hostKeys: hostKeys.meta({
    icon: 'fa-shield',
    placeholder: 'SHA256:oHx3dJ8bXJPpCQvFgKp1nq9cXyC0q5zN6tZq0m1sV4E',
  }),
};

/** Who the host is and how it lets us in, in one of three ways. */
export const sshSettings = z.discriminatedUnion('auth', [
  z.object({
    ...first,
    auth: key.shape.auth.meta({ icon: 'fa-id-badge' }),
    privateKey: key.shape.privateKey.meta({ icon: 'fa-key', secret: true, control: 'lines' }),
    keyFile: key.shape.keyFile.meta({
      icon: 'fa-file-o',
      control: 'path',
      placeholder: '/home/node-red/.ssh/id_ed25519',
    }),
    passphrase: key.shape.passphrase.meta({ icon: 'fa-lock', secret: true }),
    ...last,
  }),
  z.object({
    ...first,
    auth: password.shape.auth,
    password: password.shape.password.meta({ icon: 'fa-lock', secret: true }),
    ...last,
  }),
  z.object({
    ...first,
    auth: agent.shape.auth,
    agentSocket: agent.shape.agentSocket.meta({ icon: 'fa-plug', control: 'path' }),
    ...last,
  }),
]);

export type SshSettings = z.output<typeof sshSettings>;
