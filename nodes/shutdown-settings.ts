import { BackupError } from '../lib/errors.ts';
import {
  MAX_SHUTDOWN_SECONDS,
  SHUTDOWN_MODES,
  type ShutdownMode,
  type ShutdownPlan,
} from '../lib/runs/shutdown.ts';
import type { PackageSettings } from './package-settings.ts';

type Environment = Readonly<Record<string, string | undefined>>;

/** Deadlines that nobody has set, in seconds. */
const DEFAULT_SECONDS: Readonly<Record<ShutdownMode, number>> = { abort: 20, drain: 600 };
/** Node-RED waits 15 s for nodes to close, and ends then whatever they do. */
const NODE_RED_SECONDS = 14;

/**
 * What becomes of running backups when the process is told to end: `DBACKUP_SHUTDOWN` and
 * `DBACKUP_SHUTDOWN_SECONDS`, else `shutdown` and `shutdownSeconds` of settings.js.
 * @throws BackupError `invalid-config`
 */
export function shutdownPlan(
  settings: PackageSettings,
  env: Environment,
  host: 'runner' | 'node-red',
): ShutdownPlan {
  const mode = modeIn(env) ?? settings.shutdown ?? 'abort';
  const seconds = secondsIn(env) ?? settings.shutdownSeconds ?? DEFAULT_SECONDS[mode];
  const most = host === 'node-red' ? NODE_RED_SECONDS : MAX_SHUTDOWN_SECONDS;
  return { mode, deadlineMs: Math.min(seconds, most) * 1000 };
}

function modeIn(env: Environment): ShutdownMode | undefined {
  const text = env.DBACKUP_SHUTDOWN?.trim() ?? '';
  if (text === '') return undefined;
  const mode = SHUTDOWN_MODES.find((known) => known === text);
  if (mode !== undefined) return mode;
  throw new BackupError(
    'invalid-config',
    `DBACKUP_SHUTDOWN is ${JSON.stringify(text)}: it must be ${SHUTDOWN_MODES.join(' or ')}`,
  );
}

function secondsIn(env: Environment): number | undefined {
  const text = env.DBACKUP_SHUTDOWN_SECONDS?.trim() ?? '';
  if (text === '') return undefined;
  const seconds = Number(text);
  if (/^\d*\.?\d+$/.test(text) && seconds > 0 && seconds <= MAX_SHUTDOWN_SECONDS) return seconds;
  throw new BackupError(
    'invalid-config',
    `DBACKUP_SHUTDOWN_SECONDS is ${JSON.stringify(text)}: give it a number of seconds above 0 and up to ${MAX_SHUTDOWN_SECONDS}`,
  );
}
