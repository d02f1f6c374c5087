import type { FieldValue, Rule } from './rules.ts';

export type Control =
  | 'text'
  | 'path'
  | 'lines'
  | 'number'
  | 'checkbox'
  | 'select'
  | 'list'
  | 'choices'
  | 'password'
  | 'config';

/** A field with its rule in each variant that has it. */
export interface FormField {
  readonly name: string;
  readonly control: Control;
  readonly secret: boolean;
  readonly icon?: string;
  readonly unit?: string;
  /** Types of the config nodes that it may refer to, at least one. */
  readonly configTypes?: readonly string[];
  readonly section?: 'advanced';
  readonly placeholder?: string;
  /** Values that the form warns of. */
  readonly cautions?: readonly string[];
  /** The truth value that lets it be empty: without it the field must be filled in. */
  readonly requiredUnless?: string;
  /** What a new node starts with. */
  readonly initial: FieldValue;
  /** Every option of a select or of choices, of all variants. */
  readonly options: readonly string[];
  readonly cases: readonly FieldCase[];
}

export interface FieldCase {
  /** Value of the discriminating field with which this case holds; absent when it always does. */
  readonly when?: string;
  readonly rule: Rule;
  /** An example for this case, where it is not that of the field. */
  readonly placeholder?: string;
}

/** Everything that the editor, the help and the checks need to know of a node's settings. */
export interface FormDescription {
  /** The field that chooses the variant. */
  readonly discriminator?: string;
  readonly fields: readonly FormField[];
}
