import type { StoredArtifact } from './manifest.ts';
import { shell, shellQuote, shellWord } from './shell-text.ts';

/** How files of some formats are put back, in the order in which that is done. */
interface Advice {
  readonly formats: readonly string[];
  readonly text: string;
  commands(artifact: StoredArtifact): string[];
}

const SQLITE = `A \`.sqlite\` file is the database itself. Stop the application, check the file, and copy it to its place;
remove a \`-wal\` and a \`-shm\` file of the old database that lie beside it.`;

const POSTGRES_GLOBALS = `Roles and tablespaces of a PostgreSQL server come first: the databases name them. Set \`PGHOST\`, \`PGPORT\`,
\`PGUSER\` and \`PGPASSWORD\` (or a \`~/.pgpass\`) for a superuser of the server. What is there already is reported as
\`already exists\` and gets the attributes and passwords of the dump; look at every other error.`;

const POSTGRES = `A PostgreSQL database is loaded into a new database, as a superuser, with the client programs of the dumped
server's version or a newer one. Set \`PGHOST\`, \`PGPORT\`, \`PGUSER\` and \`PGPASSWORD\`. The commands stop at the first error:
drop the database then, and see what is missing (a role, an extension). Choose other names where a database is there
already. A \`.dump\` and a \`.tar\` file also hold encoding, locale, owner and settings of the database itself: where no
database of its name is, \`pg_restore --create --exit-on-error --dbname=postgres FILE\` instead of both commands keeps these.
\`pg_restore --list FILE\` shows what is in it. Give a script to psql only when you trust where it comes from.`;

const MYSQL = `A MySQL or MariaDB database is loaded into a new database. Name server and user in \`~/.my.cnf\`, or add \`--host\`,
\`--user\` and \`--password\`. The client stops at the first error: drop the database then. A line at the beginning that has
\`enable the sandbox mode\` is understood by MariaDB's clients since May 2024 only; with another client remove it.`;

const MYSQL_USERS = `Users and grants come after the databases, whose tables they name. No password of a user that exists is
changed.`;

const ADVICE: readonly Advice[] = [
  {
    formats: ['sqlite3'],
    text: SQLITE,
    commands: ({ rawFile }) => [`sqlite3 ${shellQuote(rawFile)} 'PRAGMA integrity_check'`],
  },
  {
    formats: ['pg-globals'],
    text: POSTGRES_GLOBALS,
    commands: ({ rawFile }) => [`psql --no-psqlrc --dbname=postgres --file=${shellQuote(rawFile)}`],
  },
  { formats: ['pg-custom', 'pg-tar', 'pg-plain'], text: POSTGRES, commands: postgresCommands },
  {
    formats: ['mysql-sql'],
    text: MYSQL,
    commands: ({ database, rawFile }) => [
      `mysql --default-character-set=utf8mb4 --execute=${shellWord(`CREATE DATABASE \`${database.replaceAll('`', '``')}\``)}`,
      `mysql --binary-mode --comments --default-character-set=utf8mb4 --database=${shellWord(database)} < ${shellQuote(rawFile)}`,
    ],
  },
  {
    formats: ['mysql-users'],
    text: MYSQL_USERS,
    commands: ({ rawFile }) => [
      `mysql --binary-mode --comments --default-character-set=utf8mb4 < ${shellQuote(rawFile)}`,
    ],
  },
];

/** How what came out of the stored files is put back, once for each kind of file. */
export function loadingAdvice(stored: readonly StoredArtifact[]): string[] {
  const known = ADVICE.flatMap(({ formats, text, commands }) => {
    const files = stored.filter(({ format }) => formats.includes(format));
    return files.length === 0 ? [] : [text, shell(files.flatMap(commands))];
  });
  const others = stored.filter(({ format }) => !ADVICE.some(({ formats }) => formats.includes(format)));
  return [
    ...known,
    ...others.map(
      ({ rawFile, format, source, engineVersion }) =>
        `${rawFile} has the format ${format} of ${source} ${engineVersion}: load it with that engine's own tool.`,
    ),
  ];
}

function postgresCommands({ database, rawFile, format }: StoredArtifact): string[] {
  const into = `--dbname=${shellWord(connectionTo(database))}`;
  const file = shellQuote(rawFile);
  return [
    `createdb --template=template0 -- ${shellWord(database)}`,
    format === 'pg-plain'
      ? `psql --no-psqlrc --quiet --set=ON_ERROR_STOP=1 ${into} --file=${file}`
      : `pg_restore --exit-on-error ${into} ${file}`,
  ];
}

/** A name with `=`, or one that begins like a URI, would be read as connection parameters. */
function connectionTo(database: string): string {
  if (/^[\w -]+$/.test(database)) return database;
  return `dbname='${database.replaceAll(/['\\]/g, '\\$&')}'`;
}
