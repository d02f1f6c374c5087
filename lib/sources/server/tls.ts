import { z } from 'zod';

/**
 * How the connection to a server is secured, weakest first. `prefer`: encrypted when the server can, nothing
 * checked. `require`: encrypted, nothing checked. `verify-ca`: its certificate is from a known authority.
 * `verify-full`: and names the host.
 */
export const TLS_MODES = ['off', 'prefer', 'require', 'verify-ca', 'verify-full'] as const;

/** Paths of PEM files, since the database's own tools read files too. Empty: the system's, or none. */
export const tlsFields = {
  tls: z.enum(TLS_MODES).default('prefer'),
  caFile: z.string().trim().default(''),
  certFile: z.string().trim().default(''),
  keyFile: z.string().trim().default(''),
};

const shape = z.object(tlsFields);

export type TlsOptions = z.output<typeof shape>;
