import path from 'node:path';
import { redact } from '../lib/logs/redact.ts';
import type { NodeRedLogLine } from './node-red.ts';
import type { LogLevel, LogLine } from './runtime.ts';

/** Node-RED's numbers of log levels. */
const ERROR = 20;
const WARN = 30;
const INFO = 40;

/** Passes on what Node-RED logs, and remembers what each node last complained about. */
export class FlowLog {
  readonly #logger: (line: LogLine) => void;
  readonly #debug: boolean;
  readonly #userDir: string;
  readonly #errors = new Map<string, string>();

  constructor(logger: (line: LogLine) => void, debug: boolean, userDir: string) {
    this.#logger = logger;
    this.#debug = debug;
    this.#userDir = userDir;
  }

  /** An entry of Node-RED's setting `logging`. */
  get setting(): object {
    return {
      level: this.#debug ? 'debug' : 'info',
      metrics: false,
      audit: false,
      handler: () => (line: NodeRedLogLine) => this.#take(line),
    };
  }

  /** The last error of the node with this id. */
  errorOf(nodeId: string): string | undefined {
    return this.#errors.get(nodeId);
  }

  #take(line: NodeRedLogLine): void {
    if (this.#isMissingUserPackage(line.msg)) return;
    const { id, type, name } = line;
    const message = redact(textOf(line.msg));
    const level = levelOf(line);
    if (id !== undefined && level === 'error') this.#errors.set(id, message);
    if (level === 'debug' && !this.#debug) return;
    const node = id === undefined || type === undefined ? undefined : { id, type, ...(name ? { name } : {}) };
    this.#logger({ level, message, ...(node === undefined ? {} : { node }) });
  }

  /** A user directory need not list packages; only Node-RED's editor would have written that file. */
  #isMissingUserPackage(message: unknown): boolean {
    if (!(message instanceof Error)) return false;
    const { code, path: file } = message as NodeJS.ErrnoException;
    return code === 'ENOENT' && file === path.join(this.#userDir, 'package.json');
  }
}

/** Node-RED's own progress ("Starting flows") is a detail here; what a node says at that level is not. */
function levelOf({ level, id }: NodeRedLogLine): LogLevel {
  if (level <= ERROR) return 'error';
  if (level <= WARN) return 'warn';
  return level <= INFO && id !== undefined ? 'info' : 'debug';
}

function textOf(message: unknown): string {
  if (message instanceof Error) return message.message;
  if (typeof message === 'string') return message;
  if (typeof message === 'object' && message !== null && 'message' in message) return String(message.message);
  try {
    return JSON.stringify(message) ?? String(message);
  } catch {
    return String(message);
  }
}
