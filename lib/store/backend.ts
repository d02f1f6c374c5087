import type { Kysely } from 'kysely';
import type { StoreSchema } from './schema.ts';

/** The database that a store lives in. */
export interface StoreBackend {
  readonly db: Kysely<StoreSchema>;
  /** What it is called in errors: a file, or a URL without secrets. */
  readonly name: string;
  readonly liveness: Liveness;
  /**
   * Writes something that changes nothing of this instance, and does not wait for long.
   * @throws the database's error
   */
  probe(instance: string): Promise<void>;
  /** Ends connections. What this instance has under way was written down before. */
  close(): Promise<void>;
}

/** How the processes that share a store tell living from dead ones. */
export interface Liveness {
  /** How often this process has to look after itself and the others, in ms. */
  readonly beatMs: number;
  /** So many beats in a row must have succeeded before others are taken for dead. */
  readonly beatsBeforeRecovery: number;
  /** Records this process as a living instance. */
  join(instance: string): Promise<void>;
  /** Says that it still lives. @returns false when others have taken it for dead meanwhile */
  beat(instance: string): Promise<boolean>;
  /** Instances that were not ended in the records, but whose process is gone. */
  findDead(self: string): Promise<DeadInstance[]>;
  /**
   * Notes the end of one that was found dead. Of several processes that do, one gets true; none does when it turned
   * out to live.
   */
  bury(db: Kysely<StoreSchema>, instance: string): Promise<boolean>;
  /** This process is not there any more for others. Never throws. */
  leave(instance: string): void;
}

export interface DeadInstance {
  readonly id: string;
  readonly host: string;
  readonly pid: number;
}
