import { BackupError } from '../../errors.ts';
import { type DefinitionSession, quoteName, quoteText } from './definition-session.ts';
import { meaningOf } from './restore-statement.ts';
import { tokensOf } from './restore-tokens.ts';

/** What does not move with its tables, in the order in which it is made. */
const PROGRAM_KINDS = [
  'function',
  'procedure',
  'package',
  'package body',
  'view',
  'trigger',
  'event',
] as const;

export type ProgramKind = (typeof PROGRAM_KINDS)[number];

/** A definition, and what it was made under. */
export interface Program {
  readonly kind: ProgramKind;
  readonly name: string;
  /** Of a trigger. */
  readonly table?: string;
  /** The bytes of its statement, as latin1. */
  readonly statement: string;
  readonly client: string;
  readonly connection: string;
  readonly sqlMode: string;
  /** Collation of the database when it was made; undefined where it does not matter. */
  readonly database?: string;
  /** Of an event. */
  readonly timeZone?: string;
}

/** Where `SHOW CREATE` has what, by column. */
interface Columns {
  readonly statement: number;
  readonly client: number;
  readonly sqlMode?: number;
  readonly database?: number;
  readonly timeZone?: number;
}

const ROUTINE: Columns = { statement: 2, client: 3, sqlMode: 1, database: 5 };
const COLUMNS: Record<ProgramKind, Columns> = {
  function: ROUTINE,
  procedure: ROUTINE,
  package: ROUTINE,
  'package body': ROUTINE,
  trigger: ROUTINE,
  view: { statement: 1, client: 2 },
  event: { statement: 3, client: 4, sqlMode: 1, database: 6, timeZone: 2 },
};

const LISTS = {
  routine: `SELECT LOWER(ROUTINE_TYPE), ROUTINE_NAME, NULL FROM information_schema.ROUTINES
    WHERE ROUTINE_SCHEMA = ? ORDER BY ROUTINE_NAME`,
  view: "SELECT 'view', TABLE_NAME, NULL FROM information_schema.VIEWS WHERE TABLE_SCHEMA = ? ORDER BY TABLE_NAME",
  trigger: `SELECT 'trigger', TRIGGER_NAME, EVENT_OBJECT_TABLE FROM information_schema.TRIGGERS
    WHERE TRIGGER_SCHEMA = ? ORDER BY EVENT_OBJECT_TABLE, EVENT_MANIPULATION, ACTION_TIMING, ACTION_ORDER`,
  event:
    "SELECT 'event', EVENT_NAME, NULL FROM information_schema.EVENTS WHERE EVENT_SCHEMA = ? ORDER BY EVENT_NAME",
};

/**
 * The routines, views, triggers and events of a database, as they are to be made again.
 * @throws BackupError `permission` when the user may not see a definition
 */
export async function readPrograms(session: DefinitionSession, database: string): Promise<Program[]> {
  await session.run(`USE ${quoteName(database)}`);
  const programs: Program[] = [];
  for (const list of Object.values(LISTS)) {
    for (const [kind, name, table] of await session.rows(list, [database])) {
      const known = PROGRAM_KINDS.find((program) => program === kind);
      if (known === undefined || name === null || name === undefined) continue;
      programs.push(await readProgram(session, known, name, table ?? undefined));
    }
  }
  return programs.sort((a, b) => PROGRAM_KINDS.indexOf(a.kind) - PROGRAM_KINDS.indexOf(b.kind));
}

async function readProgram(
  session: DefinitionSession,
  kind: ProgramKind,
  name: string,
  table: string | undefined,
): Promise<Program> {
  const [row = []] = await session.rawRows(`SHOW CREATE ${kind.toUpperCase()} ${quoteName(name)}`);
  const at = COLUMNS[kind];
  const cell = (index: number | undefined) => (index === undefined ? undefined : (row[index] ?? undefined));
  const statement = cell(at.statement);
  if (statement === undefined) {
    throw new BackupError(
      'permission',
      `The definition of ${kind} ${name} cannot be read, so it would be lost: restore as its definer, or as a user that may see it (SHOW_ROUTINE, or SELECT on mysql.proc)`,
    );
  }
  const [database, timeZone] = [cell(at.database), cell(at.timeZone)];
  return {
    kind,
    name,
    statement: kind === 'trigger' ? withoutQualifiers(statement) : statement,
    client: cell(at.client) ?? 'utf8mb4',
    connection: cell(at.client + 1) ?? 'utf8mb4_general_ci',
    sqlMode: cell(at.sqlMode) ?? '',
    ...(table === undefined ? {} : { table }),
    ...(database === undefined ? {} : { database }),
    ...(timeZone === undefined ? {} : { timeZone }),
  };
}

/** MariaDB keeps `CREATE TRIGGER shop.log AFTER INSERT ON shop.orders` as it was typed. */
function withoutQualifiers(statement: string): string {
  const meaning = meaningOf(tokensOf(statement, { backslashEscapes: true, ansiQuotes: false }));
  if (meaning.does !== 'create') return statement;
  const last = [...meaning.qualifiers].reverse();
  return last.reduce((text, { start, end }) => text.slice(0, start) + text.slice(end), statement);
}

/**
 * A view that names no database where it means its own. MariaDB names it in every view that calls a function
 * which reads another database, as one does that names the database that was dumped.
 */
export function withoutDatabase(program: Program, database: string): Program {
  if (program.kind !== 'view') return program;
  const { statement } = program;
  let text = '';
  let done = 0;
  let [last, before] = ['', ''];
  let start = 0;
  for (const token of tokensOf(statement, { backslashEscapes: true, ansiQuotes: false })) {
    if (token.text === '.' && last === database && before !== '.') {
      text += statement.slice(done, start);
      done = token.end;
    }
    [last, before] = [token.kind === 'string' ? '' : token.text, last];
    start = token.start;
  }
  return { ...program, statement: text + statement.slice(done) };
}

/** A program that could not be made, and why. */
export interface FailedProgram {
  readonly program: Program;
  readonly error: BackupError;
}

/**
 * Makes programs in a database, with the sql_mode, character sets and time zone that they were made under.
 * Views wait for those that they need.
 * @returns those that cannot be made
 * @throws BackupError when the server is lost
 */
export async function createPrograms(
  session: DefinitionSession,
  database: string,
  programs: readonly Program[],
): Promise<FailedProgram[]> {
  const collation = await collationOf(session, database);
  const maker = new ProgramMaker(session, database, collation);
  let left = programs;
  for (;;) {
    const failed: FailedProgram[] = [];
    for (const program of left) {
      const error = await maker.make(program);
      if (error !== undefined) failed.push({ program, error });
    }
    if (failed.length === 0 || failed.length === left.length) {
      await maker.finish();
      return failed;
    }
    left = failed.map(({ program }) => program);
  }
}

/** @throws BackupError */
export async function dropPrograms(
  session: DefinitionSession,
  database: string,
  programs: readonly Program[],
): Promise<void> {
  await session.run(`USE ${quoteName(database)}`);
  for (const { kind, name, sqlMode } of [...programs].reverse()) {
    // Packages are known in some modes only.
    const isPackage = kind === 'package' || kind === 'package body';
    if (isPackage) await session.run(`SET SESSION sql_mode = ${quoteText(sqlMode)}`);
    await session.run(`DROP ${kind.toUpperCase()} IF EXISTS ${quoteName(name)}`);
    if (isPackage) await session.run("SET SESSION sql_mode = ''");
  }
}

/** @throws BackupError `not-found` */
export async function collationOf(session: DefinitionSession, database: string): Promise<string> {
  const [[collation] = []] = await session.rows(
    'SELECT DEFAULT_COLLATION_NAME FROM information_schema.SCHEMATA WHERE SCHEMA_NAME = ?',
    [database],
  );
  if (collation === undefined || collation === null) {
    throw new BackupError('not-found', `The database ${database} is not there any more`);
  }
  return collation;
}

class ProgramMaker {
  readonly #session: DefinitionSession;
  readonly #database: string;
  readonly #collation: string;
  /** The database's collation now. */
  #now: string;

  constructor(session: DefinitionSession, database: string, collation: string) {
    this.#session = session;
    this.#database = database;
    this.#collation = collation;
    this.#now = collation;
  }

  async make(program: Program): Promise<BackupError | undefined> {
    const { client, connection, sqlMode, timeZone } = program;
    await this.#collate(program.database ?? this.#collation);
    await this.#session.run(`USE ${quoteName(this.#database)}`);
    const zone = timeZone === undefined ? '' : `, time_zone = ${quoteText(timeZone)}`;
    await this.#session.run(
      `SET SESSION sql_mode = ${quoteText(sqlMode)}, character_set_client = ${client}, collation_connection = ${connection}${zone}`,
    );
    try {
      await this.#session.raw(program.statement);
      return undefined;
    } catch (error) {
      if (!(error instanceof BackupError) || error.transient || error.code === 'aborted') throw error;
      return error;
    } finally {
      await this.#reset(zone !== '');
    }
  }

  async finish(): Promise<void> {
    await this.#collate(this.#collation);
  }

  async #reset(hasZone: boolean): Promise<void> {
    await this.#session.run("SET SESSION sql_mode = ''");
    await this.#session.run('SET NAMES utf8mb4');
    if (hasZone) await this.#session.run('SET SESSION time_zone = DEFAULT');
  }

  /** A routine remembers the collation of its database, so the database has it for a moment. */
  async #collate(collation: string): Promise<void> {
    if (collation === this.#now) return;
    await this.#session.run(`ALTER DATABASE ${quoteName(this.#database)} COLLATE ${collation}`);
    this.#now = collation;
  }
}
