import { type Clock, systemClock } from '../../clock.ts';
import { BackupError } from '../../errors.ts';
import { Turns } from '../../turns.ts';
import { DaemonTransport } from './daemon.ts';
import { refusesOption } from './failures.ts';
import { namesOf, type RsyncOptions, rootArgument, rsyncLocation } from './options.ts';
import { rsyncProgram } from './program.ts';
import { outputOf, RsyncError, RsyncRun } from './run.ts';
import { SshTransport } from './ssh.ts';
import type { Transport } from './transport.ts';

/** What is wanted of one run of rsync. */
export interface RsyncCall {
  /** What is tried, as in `Cannot ${doing} on …`: `list job`. */
  readonly doing: string;
  /** Options and arguments. */
  readonly args: readonly string[];
  /** Called again and again while bytes move. */
  onActivity?: (() => void) | undefined;
}

/** The folder of the storage is not there. */
export class RootMissing extends BackupError {}

/** One storage: its settings, and the runs of rsync against it. */
export class RsyncStorage {
  readonly options: RsyncOptions;
  readonly location: string;
  readonly clock: Clock;
  readonly #transport: Transport;
  readonly #turns: Turns;
  /** Whether the far rsync knows how to write its caches through. */
  #canSync = true;

  constructor(options: RsyncOptions, clock: Clock = systemClock) {
    this.options = options;
    this.location = rsyncLocation(options);
    this.clock = clock;
    this.#transport =
      options.transport === 'daemon' ? new DaemonTransport(options) : new SshTransport(options);
    this.#turns = new Turns(options.connections);
  }

  /**
   * The storage's folder, or one below it, as an argument of rsync. The host is a placeholder: we connect to it
   * ourselves.
   * @param below ends in a slash; names that rsync and shells take as they are
   */
  target(below = ''): string {
    const separator = this.options.transport === 'daemon' ? '::' : ':';
    return `storage${separator}${rootArgument(this.options)}${below}`;
  }

  /**
   * A folder of the storage as something that the far rsync compares with or links to. From the root of the module or
   * host where that is known, since `rrsync` takes no other; else from the folder that is written to.
   * @param names below the storage's folder
   * @param depth how far below it the folder lies that is written to
   */
  basis(names: readonly string[], depth: number): string {
    const { transport, root } = this.options;
    const isKnown = transport === 'daemon' || root.startsWith('/');
    const parts = isKnown ? ['', ...namesOf(root)] : Array<string>(depth).fill('..');
    return [...parts, ...names].join('/');
  }

  /** What all of the storage's folders lie in: the module, the login folder, or the host's root. */
  base(): string {
    if (this.options.transport === 'daemon') return `storage::${this.options.module}/`;
    return this.options.root.startsWith('/') ? 'storage:/' : 'storage:./';
  }

  /** Starts a run, which the caller reads and waits for. @throws BackupError */
  async start({ doing, args, onActivity }: RsyncCall, signal: AbortSignal): Promise<RsyncRun> {
    const { options } = this;
    const program = await rsyncProgram(options.program, signal);
    const giveBack = await this.#turns.take(signal);
    try {
      const connection = await this.#transport.connect(signal);
      const settings = {
        program,
        args,
        user: options.transport === 'daemon' ? options.user : '',
        password: options.transport === 'daemon' ? options.password : undefined,
        timeout: options.timeout,
        doing: `${doing} on ${this.location}`,
        ...(onActivity === undefined ? {} : { onActivity }),
      };
      const run = new RsyncRun(settings, connection, signal);
      void run.ended.then(giveBack, giveBack);
      return run;
    } catch (error) {
      giveBack();
      throw error;
    }
  }

  /** @returns what rsync printed, when it succeeded @throws BackupError */
  async run(call: RsyncCall, signal: AbortSignal): Promise<string> {
    return await outputOf(await this.start(call, signal), signal);
  }

  /** The same for a run that stores bytes: the far side writes them through to its disk where it knows how. */
  async runSynced(call: RsyncCall, signal: AbortSignal): Promise<string> {
    if (!this.#canSync) return await this.run(call, signal);
    try {
      return await this.run({ ...call, args: ['--fsync', ...call.args] }, signal);
    } catch (error) {
      if (!(error instanceof RsyncError) || !refusesOption(error.run, '--fsync')) throw error;
      this.#canSync = false;
      return await this.run(call, signal);
    }
  }

  rootMissing(): RootMissing {
    return new RootMissing(
      'not-found',
      `The folder of ${this.location} does not exist: create it, or let it be created`,
    );
  }
}
