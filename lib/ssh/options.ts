import { z } from 'zod';

const common = {
  host: z.string().trim().min(1),
  port: z.number().int().min(1).max(65_535).default(22),
  user: z.string().min(1),
  /** SHA-256 fingerprints of the host keys that are trusted, as `ssh-keygen -lf` prints them. */
  hostKeys: z.array(z.string().regex(/^SHA256:[A-Za-z0-9+/]{43}=?$/)).min(1),
};

const password = z.object({ ...common, auth: z.literal('password'), password: z.string().min(1) });

const key = z.object({
  ...common,
  auth: z.literal('key'),
  /** Text of a private key in OpenSSH or PEM format. */
  privateKey: z.string().min(1).optional(),
  /** Else the path of a file that holds one. */
  keyFile: z.string().trim().default(''),
  passphrase: z.string().optional(),
});

const agent = z.object({
  ...common,
  auth: z.literal('agent'),
  /** Socket of the agent; empty: `SSH_AUTH_SOCK`. */
  agentSocket: z.string().trim().default(''),
});

/** A host that is reached by SSH, and how its identity and ours are proven. */
export const sshOptions = z.discriminatedUnion('auth', [key, password, agent]);

export type SshOptions = z.output<typeof sshOptions>;
