import { type Clock, systemClock } from '../lib/clock.ts';
import { createRuntime } from './create-runtime.ts';
import type { BackupRuntime, RuntimeApi } from './runtime-port.ts';

export type { BackupRuntime, RuntimeApi } from './runtime-port.ts';

const RUNTIMES: unique symbol = Symbol.for('@dbackup/node-red.runtimes');

interface RuntimeHolder {
  [RUNTIMES]?: WeakMap<object, BackupRuntime>;
}

/**
 * The runtime that belongs to this Node-RED, made at the first call. Each node set gets a `RED` of its own,
 * and a test may load two copies of this module: all of them share one runtime, found by Node-RED's events.
 */
export function backupRuntime(RED: RuntimeApi): BackupRuntime {
  const runtimes = allRuntimes();
  const known = runtimes.get(RED.events);
  if (known !== undefined) return known;
  const clock = allClocks().get(RED.events) ?? systemClock;
  const made = createRuntime(RED, clock, () => runtimes.delete(RED.events));
  runtimes.set(RED.events, made);
  return made;
}

/** The same when there is one already: for those who end it. */
export function existingRuntime(RED: Pick<RuntimeApi, 'events'>): BackupRuntime | undefined {
  return allRuntimes().get(RED.events);
}

const CLOCKS: unique symbol = Symbol.for('@dbackup/node-red.clocks');

interface ClockHolder {
  [CLOCKS]?: WeakMap<object, Clock>;
}

/** Sets the clock of the runtime that will belong to this Node-RED; without it that is the clock of the host. */
export function useClock(RED: Pick<RuntimeApi, 'events'>, clock: Clock): void {
  allClocks().set(RED.events, clock);
}

function allClocks(): WeakMap<object, Clock> {
  const holder = globalThis as ClockHolder;
  holder[CLOCKS] ??= new WeakMap();
  return holder[CLOCKS];
}

function allRuntimes(): WeakMap<object, BackupRuntime> {
  const holder = globalThis as RuntimeHolder;
  holder[RUNTIMES] ??= new WeakMap();
  return holder[RUNTIMES];
}
