import type { ByteStream } from '../../bytes/stream.ts';
import { BackupError, toBackupError } from '../../errors.ts';
import { writeTo } from '../../tool/feed-tool.ts';
import { type ToolCommand, ToolProcess } from '../../tool/tool-process.ts';
import type { MysqlSession } from './connect.ts';
import { causeOfNumber } from './failures.ts';
import { clientOptionFile } from './option-file.ts';
import type { MysqlServer } from './options.ts';
import type { DumpFilter } from './restore-filter.ts';
import type { MysqlTool } from './tools.ts';

/** The longest statement that the client takes, in bytes: what the servers allow at most. */
const MAX_PACKET_BYTES = 1024 ** 3;
/** Different warnings that are kept. */
const MAX_WARNINGS = 20;

export interface Load {
  readonly server: MysqlServer;
  /** How the server is reached. */
  readonly session: MysqlSession;
  readonly tool: MysqlTool;
  /** The database that statements are about. */
  readonly database: string;
  readonly filter: DumpFilter;
}

/**
 * Streams a dump through the filter into the client, which stops at the first statement that fails.
 * @returns what the server warned of
 * @throws BackupError of the dump; of the server, with the statement that it refused
 */
export async function loadDump(load: Load, raw: ByteStream, signal: AbortSignal): Promise<string[]> {
  const { server, session, tool, database, filter } = load;
  const optionFile = await clientOptionFile(server, session, tool);
  const warnings = new Warnings();
  try {
    const command: ToolCommand = {
      program: tool.path,
      args: [optionFile.argument, ...ARGUMENTS, `--database=${database}`],
      env: optionFile.env,
      subject: `The restore into ${database}`,
      explain,
    };
    const client = new ToolProcess(command, signal);
    client.stdout.setEncoding('utf8').on('data', (text: string) => warnings.add(text));
    await feed(client, filtered(raw, filter));
    return warnings.all();
  } catch (error) {
    throw withStatement(error, filter);
  } finally {
    await optionFile.remove();
  }
}

/**
 * `--binary-mode`: bytes as they are, and of all the client's own commands only DELIMITER; `--comments`: those
 * within routines stay. A connection that breaks is not made again, since its settings would be lost.
 */
const ARGUMENTS = [
  '--batch',
  '--binary-mode',
  '--comments',
  '--show-warnings',
  '--default-character-set=utf8mb4',
  `--max-allowed-packet=${MAX_PACKET_BYTES}`,
  '--local-infile=0',
  '--loose-skip-reconnect',
  '--loose-skip-print-query-on-error',
  '--init-command=SET SESSION wait_timeout = 604800, SESSION net_read_timeout = 86400',
];

async function feed(client: ToolProcess, text: ByteStream): Promise<void> {
  try {
    await writeTo(client, text);
  } catch (error) {
    const failure = toBackupError(error);
    await client.stop(failure);
    await client.succeeded();
    throw failure;
  }
  client.stdin.end();
  await client.succeeded();
}

async function* filtered(raw: ByteStream, filter: DumpFilter): AsyncGenerator<Buffer, void> {
  for await (const chunk of raw) yield* filter.push(chunk);
  yield* filter.end();
}

const REFUSED = /^ERROR (\d+) \(\w+\) at line (\d+)(?: in file: '[^']*')?: /;

function explain(stderr: readonly string[]): string {
  return stderr.find((line) => line.startsWith('ERROR')) ?? stderr.slice(-5).join(' / ');
}

/** Names the statement that the server refused, and what can be done where that is known. */
function withStatement(thrown: unknown, filter: DumpFilter): unknown {
  if (!(thrown instanceof BackupError) || thrown.code !== 'incomplete') return thrown;
  const start = thrown.message.indexOf('ERROR ');
  const [, number, line] = REFUSED.exec(thrown.message.slice(Math.max(start, 0))) ?? [];
  if (number === undefined) return thrown;
  const statement = filter.statementAt(Number(line));
  const about = statement === undefined ? '' : `. The statement: ${statement}`;
  const isOfView = /\bVIEW\b/.test(statement ?? '') && /^(1146|1049|1356)$/.test(number);
  const advice = isOfView ? OTHER_DATABASES : (ADVICE[number] ?? '');
  const known = causeOfNumber(Number(number));
  // What that server lacks says nothing about the dump.
  const isLacking = advice !== '' && known?.code !== 'permission';
  const { code, transient } = isLacking ? LACKING : (known ?? { code: 'incomplete', transient: false });
  return new BackupError(code, `${thrown.message}${advice}${about}`, {
    transient,
    cause: thrown,
  });
}

const LACKING = { code: 'unavailable', transient: false } as const;

const OTHER_FLAVOUR =
  ' (the dump is of a server that knows what this one does not: restore it to one of the same kind and version)';
const OTHER_DATABASES =
  ' (a view over several databases names each of them, its own too: they must be there, under their names)';
const DEFINER =
  ' (the user may not make objects of others: grant it SET USER (MariaDB), or SET_ANY_DEFINER and maybe SYSTEM_USER (MySQL), or restore without the owners)';

const ADVICE: Readonly<Record<string, string>> = {
  1115: OTHER_FLAVOUR,
  1153: " (set the server's max_allowed_packet higher)",
  1227: DEFINER,
  1273: OTHER_FLAVOUR,
  1286: OTHER_FLAVOUR,
  1419: ' (grant the user SUPER, or set log_bin_trust_function_creators on the server)',
};

/** Warnings of the server, each kind once, as the client prints them. */
class Warnings {
  #rest = '';
  readonly #counts = new Map<string, { first: string; count: number }>();

  add(text: string): void {
    const lines = (this.#rest + text).split('\n');
    this.#rest = (lines.pop() ?? '').slice(0, 2000);
    for (const line of lines) this.#line(line);
  }

  all(): string[] {
    return [...this.#counts.values()].map(({ first, count }) =>
      count === 1 ? first : `${first} (and ${count - 1} more of this kind)`,
    );
  }

  #line(line: string): void {
    const [, code] = /^(?:Warning|Error) \(Code (\d+)\): /.exec(line) ?? [];
    if (code === undefined) return;
    const known = this.#counts.get(code);
    if (known !== undefined) known.count += 1;
    else if (this.#counts.size < MAX_WARNINGS)
      this.#counts.set(code, { first: line.slice(0, 300), count: 1 });
  }
}
