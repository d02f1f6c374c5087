import { readAll } from '../../bytes/drain.ts';
import { BackupError } from '../../errors.ts';
import { runTool } from '../../tool/run-tool.ts';
import type { DumpProof, RestoreReport } from '../driver.ts';
import { inDatabase, type RestoreContext } from './restore-context.ts';
import { maskSecrets, warningsOf } from './restore-errors.ts';
import type { RestoreInput } from './restore-input.ts';
import { type Statement, statementsOf } from './restore-sql.ts';
import { psql, restoreTool } from './restore-tools.ts';

/** Roles and tablespaces take no more than this, in bytes. */
const MAX_SCRIPT_BYTES = 64 * 1024 * 1024;

interface Present {
  readonly roles: ReadonlySet<string>;
  readonly tablespaces: ReadonlySet<string>;
}

/** What is done of a script of `pg_dumpall --globals-only`. */
export interface GlobalsPlan {
  /** In one transaction. */
  readonly roles: readonly Statement[];
  /** The server creates tablespaces outside of transactions only. */
  readonly tablespaces: readonly Statement[];
  readonly facts: DumpProof['facts'];
  readonly warnings: readonly string[];
}

/**
 * Creates the roles and tablespaces that are missing. Those that exist are left as they are, unless they may be
 * replaced: then they get the attributes, passwords, memberships and settings of the dump. Nothing is dropped.
 * @throws BackupError; then no role has changed
 */
export async function restoreGlobals(
  context: RestoreContext,
  input: RestoreInput,
): Promise<Omit<RestoreReport, 'target'>> {
  const { options, server } = context;
  const script = await readAll(input.stream(), MAX_SCRIPT_BYTES, 'The script of roles and tablespaces');
  await input.finish();
  const present = await inDatabase(context, server.maintenanceDatabase, async (session) => ({
    roles: await namesIn(session.query('SELECT rolname::text AS name FROM pg_roles')),
    tablespaces: await namesIn(session.query('SELECT spcname::text AS name FROM pg_tablespace')),
  }));
  const plan = planGlobals(script.toString('utf8'), present, options.overwrite);
  const warnings = [
    ...plan.warnings,
    ...(await run(context, plan.roles, ['--single-transaction'])),
    ...(await run(context, plan.tablespaces, []).catch((error: unknown) => {
      throw afterRoles(error, plan.roles.length > 0);
    })),
  ];
  return {
    proof: {
      statement: `${plan.facts.rolesCreated} roles and ${plan.facts.tablespacesCreated} tablespaces created`,
      facts: plan.facts,
      warnings,
    },
  };
}

/**
 * Chooses what is done of the script, by what is there.
 * @throws BackupError `corrupt` for what pg_dumpall never writes
 */
export function planGlobals(script: string, present: Present, overwrite: 'refuse' | 'replace'): GlobalsPlan {
  const roles: Statement[] = [];
  const tablespaces: Statement[] = [];
  const left = { roles: new Set<string>(), tablespaces: new Set<string>() };
  const created = { roles: 0, tablespaces: 0 };
  for (const statement of statementsOf(script)) {
    if (statement.hasCommand) {
      throw new BackupError('corrupt', `The script holds a command of psql: ${statement.withoutStrings()}`);
    }
    const tablespace = statement.nameAfter('TABLESPACE');
    const kind = tablespace === undefined ? 'roles' : 'tablespaces';
    const name = tablespace ?? roleOf(statement);
    const isCreation = statement.begins('CREATE');
    const isThere = name !== undefined && present[kind].has(name);
    if (isThere && (isCreation || overwrite === 'refuse')) {
      left[kind].add(name);
      continue;
    }
    if (isCreation) created[kind] += 1;
    (kind === 'roles' ? roles : tablespaces).push(statement);
  }
  const verdict =
    overwrite === 'refuse' ? 'left as they are' : 'not created again, but given what the dump has';
  const warnings = Object.entries(left)
    .filter(([, names]) => names.size > 0)
    .map(([kind, names]) => `These ${kind} exist and were ${verdict}: ${[...names].join(', ')}`);
  return {
    roles,
    tablespaces,
    facts: { rolesCreated: created.roles, tablespacesCreated: created.tablespaces },
    warnings,
  };
}

/** The role that a statement changes: of a GRANT the one that gets something. */
function roleOf(statement: Statement): string | undefined {
  if (statement.begins('GRANT')) return statement.nameAfter('TO');
  if (statement.begins('REVOKE')) return statement.nameAfter('FROM');
  return statement.nameAfter('ROLE');
}

/** Runs statements by psql. A statement that fails is told without its strings, which may be passwords. */
async function run(
  context: RestoreContext,
  statements: readonly Statement[],
  args: readonly string[],
): Promise<string[]> {
  const { server, options, signal } = context;
  const tool = await restoreTool('psql', options.engineVersion, context, signal);
  const command = await psql(context, tool, server.maintenanceDatabase, args);
  let script = '';
  let line = 0;
  const ends = statements.map((statement) => {
    const text = `${statement.text};\n`;
    script += text;
    line += text.split('\n').length - 1;
    return line;
  });
  const explain = (stderr: readonly string[]) => {
    const error = stderr.findIndex((text) => /(ERROR|FATAL|error):/.test(text));
    const [, at, said] = /^psql:<stdin>:(\d+): (.*)$/s.exec(stderr[error] ?? '') ?? [];
    if (at === undefined) return maskSecrets(stderr.slice(Math.max(0, error)).join(' / '));
    const failed = statements[ends.findIndex((end) => end >= Number(at))];
    return maskSecrets(`${said} (${failed?.withoutStrings() ?? 'at the end'})`);
  };
  const { stderr } = await runTool({ ...command, subject: 'psql of the globals', explain }, signal, script);
  return warningsOf(stderr);
}

function afterRoles(error: unknown, isChanged: boolean): unknown {
  if (!(error instanceof BackupError) || !isChanged) return error;
  return new BackupError(
    error.code,
    `The roles are restored, but the tablespaces are not: ${error.message}`,
    { transient: error.transient, cause: error },
  );
}

async function namesIn(rows: Promise<{ name: string }[]>): Promise<Set<string>> {
  return new Set((await rows).map(({ name }) => name));
}
