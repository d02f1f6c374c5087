import { execFile } from 'node:child_process';
import { join } from 'node:path';
import { promisify } from 'node:util';

const run = promisify(execFile);

/** Paths of PEM files. */
export interface Certificate {
  readonly certFile: string;
  readonly keyFile: string;
}

/** A certificate authority of a test. */
export interface TestAuthority {
  readonly caFile: string;
  /** @param names as in subjectAltName: `DNS:localhost`, `IP:127.0.0.1` */
  sign(commonName: string, names?: readonly string[]): Promise<Certificate>;
}

const KEY = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes', '-days', '2'];

/** Makes an authority whose files, and those that it signs, are in the folder; keys are readable by us only. */
export async function createAuthority(folder: string, name = 'ca'): Promise<TestAuthority> {
  const caFile = join(folder, `${name}.crt`);
  const caKey = join(folder, `${name}.key`);
  await run('openssl', ['req', '-x509', ...KEY, '-keyout', caKey, '-out', caFile, '-subj', `/CN=${name}`]);
  let signed = 0;
  return {
    caFile,
    sign: async (commonName, names = []) => {
      signed += 1;
      const keyFile = join(folder, `${name}-${signed}.key`);
      const certFile = join(folder, `${name}-${signed}.crt`);
      const extensions = [
        'basicConstraints=critical,CA:FALSE',
        ...(names.length > 0 ? [`subjectAltName=${names.join(',')}`] : []),
      ];
      await run('openssl', [
        ...['req', '-x509', '-CA', caFile, '-CAkey', caKey, ...KEY],
        ...['-keyout', keyFile, '-out', certFile, '-subj', `/CN=${commonName}`],
        ...extensions.flatMap((extension) => ['-addext', extension]),
      ]);
      return { certFile, keyFile };
    },
  };
}
