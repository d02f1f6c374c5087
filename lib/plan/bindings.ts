import type { DestinationDriver } from '../destinations/driver.ts';
import type { SourceDriver } from '../sources/driver.ts';
import type { Transform } from '../transforms/transform.ts';

/**
 * What a node hands to the run when a message passes it: the live, configured thing behind the recipe's
 * plain step. Bindings stay in the engine's memory, so that secrets never travel in a message and a
 * redeploy cannot change a run that has begun.
 */
export interface SourceBinding {
  readonly node: string;
  /** The node's name, for errors and status. */
  readonly label: string;
  readonly driver: SourceDriver;
}

export interface TransformBinding {
  readonly node: string;
  readonly label: string;
  readonly transform: Transform;
}

export interface DestinationBinding {
  readonly node: string;
  readonly label: string;
  readonly driver: DestinationDriver;
  /** Folder under the storage's root, without slashes at its ends; may be empty. */
  readonly prefix: string;
  /** Upper bound of the rate at which this destination is written, in bytes per second. */
  readonly bytesPerSecond?: number;
}
