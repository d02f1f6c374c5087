import type {} from 'zod';

/**
 * What a field's schema says about its row in a form, beyond what its type says. Given with `.meta()`, it
 * travels through the JSON schema into the editor.
 */
export interface FormMeta {
  /**
   * Needed only where the type does not tell: a string is a text, an enum a select, an array a list, a secret
   * a password. `lines`: a text or secret of several lines. `choices`: a box to tick for each value that the entries
   * of an array may have.
   */
  readonly control?:
    | 'text'
    | 'path'
    | 'number'
    | 'checkbox'
    | 'select'
    | 'list'
    | 'choices'
    | 'lines'
    | undefined;
  /** Font Awesome 4 name shown before the label: `fa-folder-open`. */
  readonly icon?: string | undefined;
  /** Shown after the input: `MB/s`. */
  readonly unit?: string | undefined;
  /** Kept as a Node-RED credential, never exported with the flow. */
  readonly secret?: boolean | undefined;
  /** The field holds the id of a config node of one of these types. */
  readonly configTypes?: readonly string[] | undefined;
  /** Rows that most people leave alone stand folded at the end. */
  readonly section?: 'advanced' | undefined;
  /** An example shown while the input is empty. */
  readonly placeholder?: string | undefined;
  /** Values that the form warns of; the warning is a text of the catalogue, below `<type>.<field>.cautions`. */
  readonly cautions?: readonly string[] | undefined;
  /** The field must be filled in unless this truth value of the same form is set. */
  readonly requiredUnless?: string | undefined;
  /** A regular expression that also the browser checks, where the schema itself uses a function. */
  readonly pattern?: string | undefined;
}

declare module 'zod' {
  interface GlobalMeta extends FormMeta {}
}
