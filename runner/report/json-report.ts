import type { EventEmitter } from 'node:events';
import { isStored } from '../../lib/backupset/manifest.ts';
import type { BackupError } from '../../lib/errors.ts';
import type { FlowProblem } from '../../lib/plan/flow-problem.ts';
import { NEEDS_ALL, needsField } from '../../lib/plan/needs.ts';
import type { CommittedSet, EngineEvents, RunProgress, RunResult } from '../../lib/runs/outcome.ts';
import { errorJson, type Output } from '../output.ts';
import type { LogLine } from '../runtime.ts';
import type { RunEnd, RunReport } from './run-report.ts';

/**
 * One JSON object per line on stdout, each with `event` and `time` (ISO 8601, UTC). Sizes are bytes, rates
 * bytes per second. Fields are only ever added: docs/runner.md lists them.
 */
export class JsonReport implements RunReport {
  readonly #output: Output;

  constructor(output: Output) {
    this.#output = output;
  }

  problems(problems: readonly FlowProblem[]): void {
    for (const problem of problems) this.#write('problem', problem);
  }

  follow(events: EventEmitter<EngineEvents>): void {
    events.on('state', ({ runId, job, state }) => {
      if (state === 'planning') this.#write('run-opened', { run: runId, job });
      if (state === 'running') this.#write('run-started', { run: runId, job });
    });
    events.on('queued', ({ runId, nodes: _, ...place }) =>
      this.#write('run-queued', { run: runId, ...place }),
    );
    events.on('progress', (progress) => this.#write('progress', progressJson(progress)));
    events.on('notice', ({ runId, ...notice }) => this.#write('notice', { run: runId, ...notice }));
    events.on('artifactFailed', ({ runId, node, database, error }) => {
      this.#write('artifact-failed', { run: runId, node, database, error: errorJson(error) });
    });
    events.on('finished', (result) => this.#write('run-finished', resultJson(result)));
  }

  log(line: LogLine): void {
    if (line.level !== 'debug') this.#write('log', logJson(line));
  }

  listening(url: string): void {
    this.#write('listening', { url });
  }

  failed(error: BackupError): void {
    this.#write('error', errorJson(error));
  }

  ended({ exitCode, results, nodeErrors, elapsedMs }: RunEnd): void {
    for (const { line, caught } of nodeErrors) {
      if (caught) this.#write('log', { ...logJson(line), caught });
    }
    const states = results.map(({ runId, state }) => ({ run: runId, state }));
    this.#write('finished', { exitCode, runs: states, elapsedMs: Math.round(elapsedMs) });
  }

  #write(event: string, fields: object): void {
    this.#output.json({ event, time: new Date().toISOString(), ...fields });
  }
}

function progressJson({ runId, nodes: _, rate, etaSeconds, ...progress }: RunProgress) {
  const eta = etaSeconds === undefined ? {} : { etaSeconds: Math.round(etaSeconds) };
  return { run: runId, ...progress, rate: Math.round(rate), ...eta };
}

function logJson({ level, message, node }: LogLine) {
  return { level, message, ...(node === undefined ? {} : { node: node.id }) };
}

function resultJson(result: RunResult) {
  const { runId, job, state, openedAt, finishedAt, rawBytes } = result;
  return {
    run: runId,
    job,
    state,
    openedAt,
    finishedAt,
    rawBytes,
    artifacts: result.artifacts.map(({ error, ...artifact }) => ({ ...artifact, ...errorField(error) })),
    ...needsField(result.needs ?? NEEDS_ALL),
    destinations: result.destinations.map(({ node, label, set, error, attempts, verified }) => ({
      node,
      label,
      ...(set === undefined ? {} : { set: setJson(set) }),
      ...(attempts === undefined ? {} : { attempts }),
      ...(verified === undefined ? {} : { verified }),
      ...errorField(error),
    })),
    ...errorField(result.error),
  };
}

function setJson({ reference, manifest, healed }: CommittedSet) {
  const stored = manifest.artifacts.filter(isStored);
  return {
    storage: reference.storage,
    path: reference.path,
    status: reference.status,
    healed,
    storedBytes: stored.reduce((sum, artifact) => sum + artifact.stored.bytes, 0),
  };
}

function errorField(error: BackupError | undefined) {
  return error === undefined ? {} : { error: errorJson(error) };
}
