import type { NodeMessage, NodeStatus } from 'node-red';
import type { z } from 'zod';
import type { BackupError } from '../lib/errors.ts';
import type { TransformStep } from '../lib/plan/recipe.ts';
import type { FormAction } from './form-actions.ts';
import type { SettingsSchema } from './forms/describe-form.ts';
import type { FieldProblem, SettingsSpec } from './forms/settings.ts';
import type { LaunchOptions } from './launched-flows.ts';
import type { NodeRole } from './node-role.ts';
import type { BackupRuntime } from './runtime.ts';
import type { Offer, ServiceKey, ServiceUse } from './services.ts';

/** One `.js`/`.html` pair of the package; each loads or fails on its own. */
export type NodeSet =
  | 'config'
  | 'triggers'
  | 'sources'
  | 'transforms'
  | 'destinations'
  | 'restore'
  | 'retention'
  | 'notifiers'
  | 'operations';

/** What a node is, apart from what it does: all that the editor, the help and the runner's check need. */
export interface NodeDescription<Schema extends SettingsSchema = SettingsSchema>
  extends SettingsSpec<Schema> {
  /** Registered type, forever: `dbackup-sqlite`. */
  readonly type: string;
  readonly set: NodeSet;
  readonly role: NodeRole;
  /** What a transform does. */
  readonly step?: TransformStep['kind'];
  /** File in `icons/`; config nodes show a Font Awesome icon in their selects and need none. */
  readonly icon: string;
  /** Fields that a node without a name is called after, in order of preference. */
  readonly labelFrom?: readonly string[];
  readonly inputs: 0 | 1;
  /** A node with two says in its texts what each of them is for: `<type>.outputs.1`, `<type>.outputs.2`. */
  readonly outputs: 0 | 1 | 2;
  readonly actions?: readonly FormAction[];
  /** Name of the action that the node's button on the canvas does. */
  readonly button?: string;
}

export type BackupMessage = NodeMessage;

/**
 * Sends through the node that bears this id now, so that a redeploy in between loses nothing.
 * @param output which one of the node's outputs; the first when it is left out
 */
export type Deliver = (message: BackupMessage, output?: 1 | 2) => void;

/** What a running node works with. */
export interface NodeContext<Settings> {
  readonly id: string;
  readonly type: string;
  /** The node's name, or its type: for errors and status. */
  readonly label: string;
  readonly settings: Settings;
  readonly runtime: BackupRuntime;
  /** The running Node-RED node, for what identifies it to others. */
  readonly self: { readonly id: string; readonly type: string; readonly name?: string };
  /** @throws BackupError `invalid-config` when the node with this id does not offer it */
  readonly use: ServiceUse;
  find<Service>(key: ServiceKey<Service>, nodeId: string): Service | undefined;
  /** Shows a status at once. */
  status(status: NodeStatus): void;
  /** Shows how far the node has come, at most twice a second. */
  progress(status: NodeStatus): void;
  warn(message: string): void;
  /** Logs what only those read who look for a cause. */
  debug(message: string): void;
  /** Reports an error that no message has brought about; Catch nodes get it. */
  report(error: BackupError): void;
  /**
   * Sends a message that no other has brought about, and follows what comes of it: `runtime.launches`.
   * With a reason other than `manual` nobody has asked for it, so that it starts no job that is dead-lettered.
   */
  launch(message: BackupMessage, options: LaunchOptions): void;
  /** Sends a message that no other has brought about. */
  send(message: BackupMessage): void;
  /** A text of the catalogue in the runtime's language. */
  text(key: string, values?: Readonly<Record<string, string | number>>): string;
}

export interface NodeBehaviour {
  /** What other nodes may use of this one. */
  readonly offers?: readonly Offer[];
  /** Called once when the node runs in a Node-RED, and not only tells what it offers. */
  start?(): void;
  /** Called when the node is replaced or removed, or Node-RED ends. */
  close?(): void;
  /** Handles one message; the message is done when this settles. May throw or reject. */
  onInput?(message: BackupMessage, deliver: Deliver): void | Promise<void>;
}

export interface NodeDefinition<Schema extends SettingsSchema = SettingsSchema>
  extends NodeDescription<Schema> {
  /** What is wrong with settings that the node works with all the same: a flow with it is not valid. */
  faults?(settings: z.output<Schema>): readonly FieldProblem[];
  /** Called for each node when it starts, with its checked settings. */
  setup(context: NodeContext<z.output<Schema>>): NodeBehaviour;
}

/** A node as tables of nodes hold it, whatever its settings are. */
export interface AnyNode extends NodeDescription {
  faults?(settings: never): readonly FieldProblem[];
  setup(context: NodeContext<never>): NodeBehaviour;
}

/**
 * Declares a node type: its settings once, and what it does. Only `registerNodes` turns it into something
 * that Node-RED runs; until then it is plain data.
 */
export function defineNode<Schema extends SettingsSchema>(definition: NodeDefinition<Schema>) {
  return definition;
}
