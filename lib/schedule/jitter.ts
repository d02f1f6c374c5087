import { createHash } from 'node:crypto';
import type { Timetable } from './timetable.ts';

/** What is kept free of jitter before the next fire, in ms, so that fires stay in their order. */
const BEFORE_NEXT_MS = 1000;

/**
 * How much later than planned a fire comes, in ms: between 0 and `atMost`, and always before the next one. It looks
 * random, but is the same whenever it is asked for, on every host.
 * @param schedule tells the schedules of a host apart
 */
export function jitterOf(schedule: string, at: number, atMost: number, timetable: Timetable): number {
  if (atMost <= 0) return 0;
  const room = Math.min(atMost, timetable.next(at) - at - BEFORE_NEXT_MS);
  return Math.floor(fraction(`${schedule} ${at}`) * (Math.max(0, room) + 1));
}

/** A number from 0 to 1, without 1. */
function fraction(text: string): number {
  return createHash('sha256').update(text).digest().readUIntBE(0, 6) / 2 ** 48;
}
