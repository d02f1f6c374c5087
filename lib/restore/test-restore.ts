import type { StoredArtifact } from '../backupset/manifest.ts';
import { BackupError, toBackupError } from '../errors.ts';
import { createMysqlScratch, sweepMysqlScratches } from '../sources/mysql/scratch.ts';
import { createPostgresScratch, sweepPostgresScratches } from '../sources/postgres/scratch.ts';
import type { ScratchDatabase, ScratchFindings } from '../sources/scratch.ts';
import { createSqliteScratch, sweepSqliteScratches } from '../sources/sqlite/scratch.ts';
import { type Assertion, complaintAbout, isMisspelt } from './assertions.ts';
import type { RawRequest } from './raw-stream.ts';
import { restoreArtifact } from './restore.ts';
import { type RestoreServer, scratchOptions, serverOf } from './targets.ts';

/** Where databases are restored for a test, and what they must answer then. */
export interface TestPlace {
  /** For dumps of a server. */
  readonly server?: RestoreServer | undefined;
  /** Folder for SQLite files; empty: the system's folder for temporary files. */
  readonly folder: string;
  readonly assertions: readonly Assertion[];
}

export interface TestRestoreRequest extends RawRequest {
  readonly place: TestPlace;
  /** Is told of each assertion that was asked, also when the test restore fails then. */
  onAnswer(assertion: Assertion, held: boolean): void;
}

/** Problems that a message shows. */
const SHOWN = 5;

/**
 * Restores an artifact into a database or file of its own, compares the rows of each table with those of the dump,
 * asks what is to be asked, and drops it, whatever happens.
 * @returns what was found, for people
 * @throws BackupError `incomplete` when rows or answers are not as expected, `invalid-config` when the place does not
 *   fit or a statement is wrong; else of storage, keys and server
 */
export async function testRestore(request: TestRestoreRequest): Promise<string> {
  const { artifact, place, signal } = request;
  const assertions = place.assertions.filter(
    ({ database }) => database === undefined || database === artifact.database,
  );
  const scratch = await openScratch(artifact, place).catch(ofPlace);
  let failure: unknown;
  try {
    await scratch.target.check(artifact.raw.bytes, signal).catch(ofPlace);
    const { proof } = await restoreArtifact({ ...request, target: scratch.target });
    const questions = {
      tables: (artifact.tables ?? []).map(({ name }) => name),
      statements: assertions.map(({ sql }) => sql),
    };
    const findings = await scratch.examine(questions, signal);
    return judge(request, assertions, findings, proof.statement);
  } catch (error) {
    failure = error;
    throw error;
  } finally {
    await drop(scratch, failure);
  }
}

/**
 * Removes what killed test restores have left at that place, if it is there for a day.
 * @returns what was removed
 * @throws BackupError
 */
export async function sweepScratches({ server, folder }: TestPlace, signal: AbortSignal): Promise<string[]> {
  switch (server?.kind) {
    case 'postgres':
      return await sweepPostgresScratches(server.server, signal);
    case 'mysql':
      return await sweepMysqlScratches(server.server, signal);
    default:
      return await sweepSqliteScratches(folder);
  }
}

async function openScratch(artifact: StoredArtifact, place: TestPlace): Promise<ScratchDatabase> {
  switch (artifact.source) {
    case 'sqlite':
      return await createSqliteScratch(place.folder);
    case 'postgres':
      return createPostgresScratch(serverOf(artifact, 'postgres', place), scratchOptions(artifact, place));
    case 'mysql':
      return createMysqlScratch(serverOf(artifact, 'mysql', place), scratchOptions(artifact, place));
    default:
      throw new BackupError(
        'invalid-config',
        `${artifact.database} is a ${artifact.source} dump, which this version cannot restore: update @dbackup/node-red`,
      );
  }
}

/** What is wrong before a byte of the set is read says nothing about the set. */
function ofPlace(thrown: unknown): never {
  const { code, message, transient } = toBackupError(thrown);
  const isOfSet = code === 'not-found' || code === 'incomplete' || code === 'corrupt';
  throw new BackupError(isOfSet ? 'unavailable' : code, message, { transient, cause: thrown });
}

/** What a drop could not remove is told beside what went wrong before it. */
async function drop(scratch: ScratchDatabase, failure: unknown): Promise<void> {
  try {
    await scratch.drop();
  } catch (error) {
    const left = toBackupError(error);
    if (failure === undefined) throw left;
    const { code, message, transient } = toBackupError(failure);
    throw new BackupError(code, `${message}. ${left.message}`, { transient, cause: failure });
  }
}

function judge(
  { artifact, onAnswer }: TestRestoreRequest,
  assertions: readonly Assertion[],
  { rows, missing, answers }: ScratchFindings,
  statement: string,
): string {
  const dumped = new Map(artifact.tables?.map((table) => [table.name, table.rows]));
  const asked = assertions.map((assertion, index) => {
    const answer = answers[index] ?? NO_ANSWER;
    return { assertion, answer, complaint: complaintAbout(assertion, answer) };
  });
  const misspelt = asked.find(({ answer }) => isMisspelt(answer));
  if (misspelt !== undefined) {
    throw new BackupError('invalid-config', `An assertion cannot be asked: ${misspelt.complaint}`);
  }
  for (const { assertion, complaint } of asked) onAnswer(assertion, complaint === undefined);
  const problems = [
    ...missing.map((name) => `the table ${name} is missing`),
    ...rows.flatMap(({ name, rows: count }) =>
      count === dumped.get(name) ? [] : [`${name} has ${count} rows, the dump has ${dumped.get(name)}`],
    ),
    ...asked.flatMap(({ complaint }) => complaint ?? []),
  ];
  if (problems.length > 0) throw notAsDumped(artifact, problems);
  const total = rows.reduce((sum, { rows: count }) => sum + count, 0);
  return [
    'restored',
    artifact.tables === undefined
      ? `${statement}, rows were not counted when it was dumped`
      : `${counted(total, 'row')} in ${counted(rows.length, 'table')} as dumped`,
    ...(asked.length === 0 ? [] : [`${counted(asked.length, 'assertion')} held`]),
  ].join(', ');
}

const NO_ANSWER = { value: undefined };

function notAsDumped({ database }: StoredArtifact, problems: readonly string[]): BackupError {
  const more = problems.length > SHOWN ? `; and ${problems.length - SHOWN} more` : '';
  return new BackupError(
    'incomplete',
    `${database} was restored, but is not as expected: ${problems.slice(0, SHOWN).join('; ')}${more}`,
  );
}

function counted(count: number, what: string): string {
  return `${count} ${what}${count === 1 ? '' : 's'}`;
}
