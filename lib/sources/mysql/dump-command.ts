import { runTool } from '../../tool/run-tool.ts';
import type { MysqlSession } from './connect.ts';
import type { Inventory } from './inventory.ts';
import type { MysqlSource } from './options.ts';
import { isAtLeast } from './tool-fit.ts';
import type { MysqlTool } from './tools.ts';

/** The most that the protocol allows: rows come whole, and in hexadecimal they are twice as long. */
const MAX_PACKET = '--max-allowed-packet=1G';

/** What a tool can do that its version does not tell for sure. */
export interface ToolAbilities {
  /** It takes statements for the beginning of its session. */
  readonly initCommand: boolean;
  /** It knows masking policies (MySQL 9.7), which belong to the server and not to a database. */
  readonly maskingPolicies: boolean;
}

/** @throws BackupError when the tool does not answer */
export async function abilitiesOf(tool: MysqlTool, signal: AbortSignal): Promise<ToolAbilities> {
  if (tool.flavour === 'mariadb') return { initCommand: false, maskingPolicies: false };
  const command = { program: tool.path, args: ['--no-defaults', '--help'], env: {}, subject: tool.path };
  const { stdout } = await runTool(command, signal);
  return {
    initCommand: stdout.includes('--init-command='),
    maskingPolicies: stdout.includes('--masking-policies'),
  };
}

/**
 * The arguments for the dump of one database: everything that is in it, nothing about where it is, so that it
 * can be loaded into any other (no CREATE DATABASE, no USE).
 * @param server what is dumped, which need not be of the tool's flavour
 */
export function dumpArguments(
  tool: MysqlTool,
  abilities: ToolAbilities,
  server: Pick<MysqlSession, 'version'>,
  database: string,
  inventory: Inventory,
  source: MysqlSource,
): string[] {
  const consistency = source.consistency === 'lock' ? ['--lock-tables'] : ['--single-transaction'];
  return [
    '--quick',
    ...consistency,
    '--routines',
    '--events',
    '--triggers',
    '--hex-blob',
    '--default-character-set=utf8mb4',
    '--no-tablespaces',
    '--skip-dump-date',
    MAX_PACKET,
    ...(tool.flavour === 'mysql' ? ofMysql(tool, abilities, source) : ofMariadb(tool, server, inventory)),
    ...(source.binlogPosition ? [positionArgument(tool)] : []),
    '--',
    database,
  ];
}

function ofMysql(
  { version }: MysqlTool,
  { initCommand, maskingPolicies }: ToolAbilities,
  { lockTimeout }: MysqlSource,
): string[] {
  return [
    // Else the dump would set the GTIDs of the whole server wherever it is loaded.
    '--set-gtid-purged=OFF',
    // An older server has no such statistics, and a newer one makes its own.
    ...(isAtLeast(version, '8.0.0') ? ['--column-statistics=0'] : []),
    ...(maskingPolicies ? ['--skip-masking-policies'] : []),
    ...(initCommand ? [`--init-command=SET SESSION lock_wait_timeout = ${lockTimeout}`] : []),
  ];
}

function ofMariadb(
  { version }: MysqlTool,
  server: Pick<MysqlSession, 'version'>,
  { hasHistory }: Inventory,
): string[] {
  const keepsHistory = hasHistory && keepsHistoryFrom(version) && keepsHistoryFrom(server.version);
  return keepsHistory ? ['--dump-history'] : [];
}

/** Whether this version of MariaDB or its tool can dump rows of the past and take them back. */
export function keepsHistoryFrom(version: string): boolean {
  return isAtLeast(version, '10.11.0');
}

function positionArgument({ flavour, version }: MysqlTool): string {
  return flavour === 'mysql' && isAtLeast(version, '8.0.26') ? '--source-data=2' : '--master-data=2';
}
