import type { QueueLimits } from '../lib/queue/limits.ts';
import type { ShutdownPlan } from '../lib/runs/shutdown.ts';
import {
  dataDirectory,
  failuresUntilDeadLetter,
  leastFreeBytes,
  type PackageSettings,
  readPackageSettings,
  sweepGraceMs,
} from './package-settings.ts';
import { queueLimits } from './queue-settings.ts';
import { shutdownPlan } from './shutdown-settings.ts';
import { type StoreSettings, storeSettings } from './store-settings.ts';

type Environment = Readonly<Record<string, string | undefined>>;

/** What settings.js and the environment say to the backup nodes of a Node-RED, all of it checked. */
export interface RuntimeSettings {
  /** `dbackup` of settings.js. */
  readonly own: PackageSettings;
  /** Folder of the history and the key vault. */
  readonly dataDir: string;
  readonly store: StoreSettings;
  readonly limits: QueueLimits;
  readonly shutdown: ShutdownPlan;
  readonly sweepGraceMs: number;
  readonly leastFreeBytes: number;
  readonly deadLetterAfter: number;
  /** Whether schedules fire by themselves. */
  readonly schedules: boolean;
  /** Without its admin root, Node-RED is part of another program, which has its own ways to end. */
  readonly embedded: boolean;
}

/**
 * Reads all settings.
 * @param settings of Node-RED
 * @throws BackupError `invalid-config` that names the wrong one
 */
export function runtimeSettings(
  settings: {
    readonly dbackup?: unknown;
    readonly httpAdminRoot?: unknown;
    readonly userDir?: string | undefined;
  },
  env: Environment,
): RuntimeSettings {
  const own = readPackageSettings(settings.dbackup);
  const dataDir = dataDirectory(own, settings.userDir);
  const embedded = settings.httpAdminRoot === false;
  return {
    own,
    dataDir,
    store: storeSettings(dataDir, own, env),
    limits: queueLimits(own, env),
    shutdown: shutdownPlan(own, env, embedded ? 'runner' : 'node-red'),
    sweepGraceMs: sweepGraceMs(own, env),
    leastFreeBytes: leastFreeBytes(own, env),
    deadLetterAfter: failuresUntilDeadLetter(own, env),
    schedules: own.schedules !== false,
    embedded,
  };
}
