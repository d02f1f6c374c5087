import type { FlowNode } from './flow-file.ts';

/** What the check must know of a node type of this package. */
export interface BackupNodeType {
  readonly type: string;
  /**
   * `trigger` starts flows; `gate` lets some messages pass; `other` takes part in no plan: config nodes, restore, verify;
   * nor does `operation`, which asks or changes how jobs stand, and is nothing that a flow is run for.
   */
  readonly role: 'trigger' | 'gate' | 'source' | 'transform' | 'destination' | 'other' | 'operation';
  /** What a transform does. */
  readonly step?: 'compress' | 'encrypt' | 'checksum';
  /** Fields that name a config node, with these settings. */
  references(settings: NodeSettings): readonly ConfigReference[];
  /** How many verified copies a run needs that this source opens, with these settings; undefined for none. */
  copiesNeeded?(settings: NodeSettings): number | undefined;
  /** Problems of the node's settings, with `${VAR}` already replaced. */
  check(settings: NodeSettings): readonly FieldProblem[];
}

export interface ConfigReference {
  readonly field: string;
  /** Types that the config node may have, at least one. */
  readonly types: readonly string[];
  readonly required: boolean;
}

export interface NodeSettings {
  readonly values: Readonly<Record<string, unknown>>;
  readonly credentials: Readonly<Record<string, unknown>>;
}

export interface FieldProblem {
  /** Empty when it is no single field's. */
  readonly field: string;
  readonly message: string;
}

export interface FlowCheckContext {
  /** Node types of this package, by type. */
  readonly backupTypes: ReadonlyMap<string, BackupNodeType>;
  /** True for a type that Node-RED or another installed module brings. */
  isKnownType(type: string): boolean;
  readonly environment: Readonly<Record<string, string | undefined>>;
  /** Secrets of a node, in clear. */
  credentialsOf(node: FlowNode): Readonly<Record<string, unknown>>;
}

export type FlowProblemCode =
  | 'duplicate-id'
  | 'unknown-type'
  | 'invalid-field'
  | 'unresolved-variable'
  | 'missing-config'
  | 'missing-secret'
  | 'dangling-wire'
  | 'loop'
  | 'no-source'
  | 'unreached-destination'
  | 'unreached-transform'
  | 'source-without-destination'
  | 'after-destination'
  | 'too-few-destinations'
  | 'compress-after-encrypt';

/** One thing that is wrong with a flow; an `error` keeps it from being run. */
export interface FlowProblem {
  readonly severity: 'error' | 'warning';
  readonly code: FlowProblemCode;
  readonly message: string;
  /** Id of the node. */
  readonly node?: string;
  readonly field?: string;
}
