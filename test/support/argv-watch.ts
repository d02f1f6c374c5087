import { readdirSync, readFileSync } from 'node:fs';

/** How often the table of processes is read, in ms: a tool runs at least that long. */
const EVERY_MS = 10;

/** Reads the command lines of everything that a process has started, as long as it is watched. Linux only. */
export class ArgvWatch {
  readonly #root: number;
  readonly #seen = new Set<string>();
  readonly #timer: NodeJS.Timeout;

  constructor(root: number) {
    this.#root = root;
    this.#timer = setInterval(() => this.#look(root, new Set()), EVERY_MS);
  }

  /** @returns every command line that was seen */
  stop(): string[] {
    clearInterval(this.#timer);
    return [...this.#seen];
  }

  #look(pid: number, met: Set<number>): void {
    if (met.has(pid)) return;
    met.add(pid);
    try {
      if (pid !== this.#root)
        this.#seen.add(readFileSync(`/proc/${pid}/cmdline`, 'utf8').replaceAll('\0', ' '));
      for (const task of readdirSync(`/proc/${pid}/task`)) {
        const children = readFileSync(`/proc/${pid}/task/${task}/children`, 'utf8')
          .split(' ')
          .filter(Boolean);
        for (const child of children) this.#look(Number(child), met);
      }
    } catch {
      // It has ended meanwhile.
    }
  }
}
