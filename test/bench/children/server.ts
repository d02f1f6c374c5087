import { readFileSync } from 'node:fs';
import type { RestoreServer } from '../../../lib/restore/targets.ts';
import type { SourceDriver } from '../../../lib/sources/driver.ts';
import { createMysqlSource } from '../../../lib/sources/mysql/mysql-source.ts';
import { mysqlServer } from '../../../lib/sources/mysql/options.ts';
import { postgresServer } from '../../../lib/sources/postgres/options.ts';
import { createPostgresSource } from '../../../lib/sources/postgres/postgres-source.ts';

/** What a bench says of a server, in a file, since it holds the password. */
export interface ServerFile {
  readonly kind: 'postgres' | 'mysql';
  readonly server: object;
  readonly databases: string[];
}

export function readServerFile(path: string): ServerFile {
  return JSON.parse(readFileSync(path, 'utf8')) as ServerFile;
}

export function restoreServer({ kind, server }: ServerFile): RestoreServer {
  return kind === 'postgres'
    ? { kind, server: postgresServer.parse(server) }
    : { kind, server: mysqlServer.parse(server) };
}

/** A source of these databases and nothing else. */
export function serverSource(file: ServerFile): SourceDriver {
  const { databases } = file;
  const { kind, server } = restoreServer(file);
  return kind === 'postgres'
    ? createPostgresSource(server, { databases, globals: false })
    : createMysqlSource(server, { databases, users: false });
}
