import type { z } from 'zod';
import { sshOptions } from '../../lib/ssh/options.ts';

const [key, password, agent] = sshOptions.options;
const { host, port, user } = key.shape;

/** Who answers, and who signs in: what the form of everything that is reached by SSH begins with. */
export const firstSshFields = {
  host: host.meta({ icon: 'fa-server' }),
  port: port.meta({ icon: 'fa-plug' }),
  user: user.meta({ icon: 'fa-user', placeholder: 'backup' }),
};

/** The ways to prove who we are. */
export const authField = {
  key: key.shape.auth.meta({ icon: 'fa-id-badge' }),
  password: password.shape.auth,
  agent: agent.shape.auth,
};

/** What each of them takes. */
export const signInFields = {
  key: {
    privateKey: key.shape.privateKey.meta({ icon: 'fa-key', secret: true, control: 'lines' }),
    keyFile: key.shape.keyFile.meta({
      icon: 'fa-file-o',
      control: 'path',
      placeholder: '/home/node-red/.ssh/id_ed25519',
    }),
    passphrase: key.shape.passphrase.meta({ icon: 'fa-lock', secret: true }),
  },
  password: {
    password: password.shape.password.meta({ icon: 'fa-lock', secret: true }),
  },
  agent: {
    agentSocket: agent.shape.agentSocket.meta({ icon: 'fa-plug', control: 'path' }),
  },
};

/** The settings of a variant that signs in by a key: with one, in whichever way. */
export function havingKey<Fields extends typeof signInFields.key>(settings: z.ZodObject<Fields>) {
  return settings.refine(hasKey, {
    path: ['keyFile'],
    error: 'is missing: give the private key, or the path of its file',
  });
}

function hasKey({ privateKey, keyFile }: { privateKey?: unknown; keyFile?: unknown }): boolean {
  return privateKey !== undefined || keyFile !== '';
}

/** The host keys that are trusted; *Test connection* adds to them. */
export function hostKeysField<Keys extends z.ZodType<readonly string[]>>(hostKeys: Keys): Keys {
  return hostKeys.meta({
    icon: 'fa-shield',
    placeholder: 'SHA256:oHx3dJ8bXJPpCQvFgKp1nq9cXyC0q5zN6tZq0m1sV4E',
  });
}
