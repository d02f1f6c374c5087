import { readFile } from 'node:fs/promises';

/** Whom a server runs as when the tests run as root. */
export interface Account {
  readonly uid: number;
  readonly gid: number;
}

/** The unprivileged account of that name, or `nobody`; undefined when the tests do not run as root. */
export async function accountFor(name: string): Promise<Account | undefined> {
  if (process.getuid?.() !== 0) return undefined;
  const accounts = (await readFile('/etc/passwd', 'utf8')).split('\n').map((line) => line.split(':'));
  const found = accounts.find(([login]) => login === name) ?? accounts.find(([login]) => login === 'nobody');
  if (found === undefined) throw new Error(`There is no account to run ${name} as`);
  return { uid: Number(found[2]), gid: Number(found[3]) };
}
