import type { FormDescription } from '../forms/form-description.ts';

/** What the generated `.html` of a node set says about each of its node types. */
export interface EditorNodeDescription {
  readonly type: string;
  readonly isConfig: boolean;
  readonly color: string;
  readonly icon: string;
  readonly inputs: number;
  readonly outputs: number;
  readonly schemaVersion: number;
  /** Fields that a node without a name is called after, in order. */
  readonly labelFrom: readonly string[];
  readonly form: FormDescription;
  readonly actions: readonly ActionDescription[];
  /** Name of the action that the node's button on the canvas does. */
  readonly button?: string;
}

export interface ActionDescription {
  readonly name: string;
  readonly route: string;
  /** List field that a click on a row of the answer adds to, or removes from. */
  readonly adds?: string;
  /** It is asked when the form opens and when a value changes, too. */
  readonly live?: boolean;
}
