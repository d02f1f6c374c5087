import type { ScheduleWatch } from '../health/schedule-check.ts';
import { PRODUCT } from '../product.ts';
import { JOB_STATES, type JobState } from '../runs/job-states.ts';
import { ACTIVE_STATES } from '../runs/states.ts';
import type { MetricRegistry } from './registry.ts';

/** How things stand when somebody asks. Times are milliseconds since 1970. */
export interface Standing {
  readonly now: number;
  readonly ready: boolean;
  /** States of the runs that are active. */
  readonly active: readonly string[];
  /** Of the flow; none while that is not known. */
  readonly jobs: readonly { readonly name: string; readonly state: JobState }[];
  readonly destinations: readonly { readonly name: string; readonly freeBytes: number | undefined }[];
  readonly schedules: readonly { readonly name: string; readonly watch: ScheduleWatch }[];
}

/** Sets the gauges that tell how things stand. */
export function setStanding(registry: MetricRegistry, standing: Standing): void {
  const { now, ready, active, jobs, destinations, schedules } = standing;
  registry.set('dbackup_build_info', { version: PRODUCT.version, node_version: process.version }, 1);
  registry.set('dbackup_ready', {}, ready ? 1 : 0);
  registry.set('dbackup_queue_depth', {}, active.filter((state) => state === 'queued').length);
  registry.clear('dbackup_runs_active');
  for (const state of new Set<string>([...ACTIVE_STATES, ...active])) {
    const count = active.filter((each) => each === state).length;
    registry.set('dbackup_runs_active', { state }, count);
  }
  setJobs(registry, jobs);
  registry.clear('dbackup_destination_free_bytes');
  for (const { name, freeBytes } of destinations) {
    if (freeBytes !== undefined) {
      registry.set('dbackup_destination_free_bytes', { destination: name }, freeBytes);
    }
  }
  setSchedules(registry, schedules, now);
}

function setJobs(registry: MetricRegistry, jobs: Standing['jobs']): void {
  registry.clear('dbackup_job_state');
  for (const { name, state: current } of jobs) {
    for (const state of JOB_STATES) {
      registry.set('dbackup_job_state', { backup_job: name, state }, state === current ? 1 : 0);
    }
  }
}

function setSchedules(registry: MetricRegistry, schedules: Standing['schedules'], now: number): void {
  registry.clear('dbackup_schedule_next_fire_timestamp_seconds');
  registry.clear('dbackup_schedule_lag_seconds');
  registry.clear('dbackup_schedule_paused');
  for (const { name, watch } of schedules) {
    const labels = { schedule: name };
    const { view } = watch;
    registry.set('dbackup_schedule_paused', labels, view?.state === 'paused' ? 1 : 0);
    registry.set('dbackup_schedule_lag_seconds', labels, lagMs(watch, now) / 1000);
    if (view !== undefined && 'next' in view) {
      registry.set('dbackup_schedule_next_fire_timestamp_seconds', labels, view.next / 1000);
    }
  }
}

function lagMs({ view, latenessMs = 0 }: ScheduleWatch, now: number): number {
  if (view?.state === 'queued') return Math.max(0, now - view.at);
  // A fire that is overdue, and has not even been noticed.
  const overdue = view !== undefined && 'next' in view ? now - view.next : 0;
  return Math.max(0, latenessMs, overdue);
}
