import { BackupError, throwIfAborted, toBackupError } from '../../errors.ts';
import { runTool } from '../../tool/run-tool.ts';

/** The first one with `--fsync`, and which quotes what it passes to a remote shell. */
const LEAST_VERSION = [3, 2, 4] as const;

/** Programs that were found to be good. */
const known = new Set<string>();

/**
 * The rsync of this host.
 * @param configured its path; empty: as the system finds it
 * @throws BackupError `unavailable` when there is none, or it is too old
 */
export async function rsyncProgram(configured: string, signal: AbortSignal): Promise<string> {
  const program = configured === '' ? 'rsync' : configured;
  if (known.has(program)) return program;
  const answer = await versionOf(program, signal);
  const version = /^rsync +version +v?(\d+)\.(\d+)\.(\d+)/.exec(answer)?.slice(1).map(Number);
  if (version === undefined || isOlder(version)) {
    const what = answer.split('\n')[0]?.slice(0, 100) ?? '';
    throw new BackupError(
      'unavailable',
      `${program} is ${JSON.stringify(what)}, but rsync ${LEAST_VERSION.join('.')} or later is needed: install it, or set its path in the storage`,
    );
  }
  known.add(program);
  return program;
}

async function versionOf(program: string, signal: AbortSignal): Promise<string> {
  try {
    const command = { program, args: ['--version'], env: {}, subject: `${program} --version` };
    return (await runTool(command, signal)).stdout;
  } catch (error) {
    throwIfAborted(signal);
    throw new BackupError(
      'unavailable',
      `${toBackupError(error).message}: install the package rsync on this host, or set its path in the storage`,
      { cause: error },
    );
  }
}

function isOlder(version: readonly number[]): boolean {
  for (const [index, least] of LEAST_VERSION.entries()) {
    const part = version[index] ?? 0;
    if (part !== least) return part < least;
  }
  return false;
}
