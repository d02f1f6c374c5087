import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';

/** The built command. */
export const RUNNER = join(import.meta.dirname, '..', '..', 'dist', 'runner', 'main.js');

export interface Finished {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** One event of `--json`. */
export interface RunnerEvent {
  readonly event: string;
  readonly [field: string]: unknown;
}

/** The built `dbackup`, as a process of its own. */
export class RunnerProcess {
  readonly child: ChildProcess;
  readonly finished: Promise<Finished>;
  #stdout = '';
  #stderr = '';
  #watchers: (() => void)[] = [];

  constructor(args: readonly string[], options: { env?: NodeJS.ProcessEnv; cwd?: string } = {}) {
    assert.ok(existsSync(RUNNER), 'The runner is not built: run "npm run build" first');
    const child = spawn(process.execPath, [RUNNER, ...args], {
      env: cleanEnvironment(options.env),
      cwd: options.cwd,
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    this.child = child;
    child.stdout.setEncoding('utf8').on('data', (text: string) => {
      this.#stdout += text;
      this.#tell();
    });
    child.stderr.setEncoding('utf8').on('data', (text: string) => {
      this.#stderr += text;
      this.#tell();
    });
    this.finished = once(child, 'close').then(([code]) => {
      this.#tell();
      return { code: code as number | null, stdout: this.#stdout, stderr: this.#stderr };
    });
  }

  get pid(): number {
    assert.ok(this.child.pid);
    return this.child.pid;
  }

  /** Resolves when stdout or stderr hold what `find` looks for; rejects when the process ends before. */
  async seen<T>(find: (stdout: string, stderr: string) => T | undefined): Promise<T> {
    for (;;) {
      const found = find(this.#stdout, this.#stderr);
      if (found !== undefined) return found;
      assert.equal(this.child.exitCode, null, `It ended before: ${this.#stdout}${this.#stderr}`);
      await new Promise<void>((resolve) => this.#watchers.push(resolve));
    }
  }

  /** The first event of that kind. */
  event(kind: string): Promise<RunnerEvent> {
    return this.seen((stdout) => eventsOf(stdout).find(({ event }) => event === kind));
  }

  kill(signal: NodeJS.Signals): void {
    this.child.kill(signal);
  }

  /** Process ids of everything that this process has started and that runs. */
  children(): number[] {
    return descendants(this.pid);
  }

  #tell(): void {
    for (const watcher of this.#watchers.splice(0)) watcher();
  }
}

/** Runs a command to its end. */
export function dbackup(
  args: readonly string[],
  options: { env?: NodeJS.ProcessEnv; cwd?: string } = {},
): Promise<Finished> {
  return new RunnerProcess(args, options).finished;
}

/** The events in what `--json` wrote; a last line that is not complete yet is left out. */
export function eventsOf(stdout: string): RunnerEvent[] {
  const complete = stdout.slice(0, stdout.lastIndexOf('\n') + 1);
  return complete
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => JSON.parse(line) as RunnerEvent);
}

export function isRunning(pid: number): boolean {
  return existsSync(`/proc/${pid}`) && !/^State:\s+Z/m.test(readFileSync(`/proc/${pid}/status`, 'utf8'));
}

/** Without what the developer's own shell may have set. */
function cleanEnvironment(own: NodeJS.ProcessEnv = {}): NodeJS.ProcessEnv {
  const inherited = Object.entries(process.env).filter(([name]) => !name.startsWith('DBACKUP_'));
  return { ...Object.fromEntries(inherited), ...own };
}

function descendants(pid: number): number[] {
  const tasks = `/proc/${pid}/task`;
  if (!existsSync(tasks)) return [];
  const children = readdirSync(tasks).flatMap((task) =>
    readFileSync(join(tasks, task, 'children'), 'utf8')
      .split(' ')
      .filter(Boolean)
      .map(Number),
  );
  return children.flatMap((child) => [child, ...descendants(child)]);
}
