import { join } from 'node:path';
import type { BenchCase, Target } from './cases.ts';
import { child, pipeline } from './commands.ts';
import { type BenchServer, type Engine, RESTORED, TOOLS } from './servers.ts';
import type { Workspace } from './workspace.ts';

const NAMES = { postgres: 'PostgreSQL', mariadb: 'MariaDB' } as const;

type Role =
  | 'Tool'
  | 'Sealed'
  | 'Encrypted'
  | 'Native'
  | 'Gzip'
  | 'Passes'
  | 'Four'
  | 'Restore'
  | 'RestoreTool';

type ServerCases<Kind extends Engine> = { readonly [Name in `${Kind}${Role}`]: BenchCase };

/** What is timed with a database server: ours, its own tools, and what people build of them. */
export function serverCases<Kind extends Engine>(engine: Kind): ServerCases<Kind> {
  const name = NAMES[engine];
  const { dump, restore } = TOOLS[engine];
  const ours = { needs: engine, ours: true } as const;
  const peer = {
    needs: engine,
    ours: false,
    options: (workspace: Workspace) => ({ environment: serverOf(workspace, engine).environment }),
  } as const;
  const drop = (workspace: Workspace) => serverOf(workspace, engine).drop(RESTORED);
  const backup =
    (file: 'wholeFile' | 'partsFile', stages: string) => (workspace: Workspace, output: string) =>
      child('backup', 'server', serverOf(workspace, engine)[file], stages, join(output, 'a'));
  const openssl = (file: string) => `openssl enc -aes-256-ctr -pbkdf2 -pass 'file:${file}'`;
  const cases: Record<Role, BenchCase> = {
    Tool: {
      ...peer,
      name: `${name}: its dump tool > /dev/null`,
      command: () => pipeline(`${dump} > /dev/null`),
    },
    Sealed: {
      ...ours,
      name: `engine: ${name} → zstd-3 → .dbk → SHA-256 → local`,
      command: backup('wholeFile', 'sealed'),
    },
    Encrypted: {
      ...ours,
      name: `engine: ${name} → .dbk → SHA-256 → local`,
      command: backup('wholeFile', 'encrypted'),
    },
    Native: {
      ...peer,
      name: `${name}: dump | zstd -3 -T0 | age | tee >(sha256sum) > file`,
      command: ({ recipient }, output) =>
        pipeline(
          `${dump} | zstd -q -3 -T0 -c | age -r ${recipient} | tee >(sha256sum > '${output}/sum') > '${output}/file'`,
        ),
    },
    Gzip: {
      ...peer,
      name: `${name}: dump | gzip -6 | openssl enc | tee >(sha256sum) > file`,
      command: ({ passwordFile }, output) =>
        pipeline(
          `${dump} | gzip -6 | ${openssl(passwordFile)} | tee >(sha256sum > '${output}/sum') > '${output}/file'`,
        ),
    },
    Passes: {
      ...peer,
      name: `${name}: dump to a file, then gzip, encrypt, hash and copy it`,
      command: ({ passwordFile }, output) =>
        pipeline(
          [
            `cd '${output}'`,
            `${dump} > dump`,
            'gzip -6 -c dump > dump.gz',
            `${openssl(passwordFile)} -in dump.gz -out dump.gz.enc`,
            'sha256sum dump.gz.enc > sum',
            'cp dump.gz.enc stored',
          ].join(' && '),
        ),
    },
    Four: {
      ...ours,
      name: `engine: four ${name} databases at a time → zstd-3 → .dbk → SHA-256 → local`,
      command: backup('partsFile', 'sealed'),
    },
    Restore: {
      ...ours,
      name: `engine: verify, decrypt, decompress, restore into ${name}`,
      command: (workspace) => {
        const { storedSet, wholeFile } = serverOf(workspace, engine);
        return child('restore-server', storedSet, wholeFile, RESTORED);
      },
      after: drop,
    },
    RestoreTool: {
      ...peer,
      name: `${name}: its own tool loads the dump from a file`,
      command: (workspace) => pipeline(`${restore} '${serverOf(workspace, engine).dumpFile}'`),
      after: drop,
    },
  };
  const named = Object.entries(cases).map(([role, made]) => [`${engine}${role}`, made]);
  return Object.fromEntries(named) as ServerCases<Kind>;
}

/** The figures to reach with one server. */
export function serverTargets(engine: Engine): Target[] {
  const name = NAMES[engine];
  const target = (text: string, kind: Target['kind'], ours: Role, peer: Role, limit: number): Target => ({
    name: `${name}: ${text}`,
    kind,
    ours: `${engine}${ours}`,
    peer: `${engine}${peer}`,
    limit,
  });
  return [
    target('backup, against the dump tool alone', 'cost', 'Sealed', 'Tool', 1.45),
    target('backup without compression, against it', 'cost', 'Encrypted', 'Tool', 1.1),
    target('backup, against zstd, age and sha256sum', 'speed', 'Sealed', 'Native', 1),
    target('backup, against gzip -6 and openssl', 'speed', 'Sealed', 'Gzip', 4),
    target('backup, against one pass after the other', 'speed', 'Sealed', 'Passes', 3.5),
    target('restore, against its own tool', 'cost', 'Restore', 'RestoreTool', 1.1),
  ];
}

function serverOf({ servers }: Workspace, engine: Engine): BenchServer {
  const server = servers[engine];
  if (server === undefined) throw new Error(`${engine} was not started`);
  return server;
}
