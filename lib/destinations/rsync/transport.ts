import type { Duplex } from 'node:stream';

/** How the rsync of this host reaches the one that holds the storage. */
export interface Transport {
  /** Connects and signs in as far as this comes before rsync's own words. @throws BackupError */
  connect(signal: AbortSignal): Promise<Connection>;
}

export interface Connection {
  /**
   * The far rsync, ready to be spoken to.
   * @param command what rsync would have run on the host by a remote shell
   * @throws BackupError
   */
  open(command: string): Promise<FarEnd>;
  /** Nothing more is wanted of it. */
  release(): void;
}

/** The other side of one run of rsync. */
export interface FarEnd {
  readonly stream: Duplex;
  /** The last lines that it wrote beside rsync's protocol, such as the complaint of a shell. */
  said(): readonly string[];
}
