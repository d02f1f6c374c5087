/**
 * The rules of a field, as plain data, and the check that runs on them: the same in the editor, where a
 * person fills the form, and in the runtime, where the flow is started. No imports: browsers load this file.
 */
export interface Rule {
  readonly kind: 'string' | 'number' | 'integer' | 'boolean' | 'list';
  readonly required: boolean;
  readonly default?: FieldValue;
  readonly options?: readonly string[];
  readonly minLength?: number;
  readonly maxLength?: number;
  readonly pattern?: string;
  readonly minimum?: number;
  readonly exclusiveMinimum?: number;
  readonly maximum?: number;
  readonly minItems?: number;
  readonly maxItems?: number;
  /** Rule of each entry of a list. */
  readonly items?: Rule;
}

export type FieldValue = string | number | boolean | readonly string[];

/** Why a value breaks its rule; `limit` is the number, option list or pattern that it breaks. */
export interface Problem {
  readonly code:
    | 'required'
    | 'number'
    | 'integer'
    | 'boolean'
    | 'list'
    | 'text'
    | 'option'
    | 'pattern'
    | 'short'
    | 'long'
    | 'min'
    | 'above'
    | 'max'
    | 'fewer'
    | 'more'
    | 'unresolved'
    /** Only in the editor: a config node that is not there or not set up. */
    | 'reference'
    /** Only in the editor: a secret that the chosen variant needs. */
    | 'secret';
  readonly limit?: string | number;
  /** Place of the wrong entry of a list, from 1. */
  readonly entry?: number;
}

/** The rule of a field that must be filled in unless another one, a truth value, is set. */
export function unlessSet(rule: Rule, other: unknown): Rule {
  return other === true || other === 'true'
    ? rule
    : { ...rule, required: true, minItems: rule.minItems || 1 };
}

const WHOLE_VARIABLE = /^\$\{[A-Za-z_][A-Za-z0-9_]*\}$/;
const ANY_VARIABLE = /\$\{([A-Za-z_][A-Za-z0-9_]*)\}/;
const NUMBER = /^[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?$/;

/** True for a value that Node-RED will replace by an environment variable: all of it is one `${NAME}`. */
export function isVariable(raw: unknown): boolean {
  return typeof raw === 'string' && WHOLE_VARIABLE.test(raw.trim());
}

/**
 * The value that a raw setting stands for: editors and environment variables give every value as text, and
 * leave an empty text where nothing was filled in. A value that does not fit is returned as it is.
 */
export function normalise(rule: Rule, raw: unknown): unknown {
  if (raw === null || raw === undefined) return undefined;
  if (rule.kind === 'list') return normaliseList(rule, raw);
  if (typeof raw !== 'string') return raw;
  const text = raw.trim();
  if (text === '') return undefined;
  if (rule.kind === 'boolean') return text === 'true' ? true : text === 'false' ? false : text;
  if (rule.kind === 'string') return text;
  return NUMBER.test(text) ? Number(text) : text;
}

function normaliseList(rule: Rule, raw: unknown): unknown {
  const entries = Array.isArray(raw) ? raw : [raw];
  const item = rule.items;
  const values = item === undefined ? entries : entries.map((entry) => normalise(item, entry));
  return values.filter((value) => value !== undefined);
}

/**
 * Checks a raw setting. `${NAME}` passes as `variables` says: in the editor it will be replaced later; in
 * a running flow one that is still there was not set.
 */
export function checkValue(rule: Rule, raw: unknown, variables: 'allowed' | 'refused'): Problem | undefined {
  const value = normalise(rule, raw);
  if (value === undefined) return rule.required ? { code: 'required' } : undefined;
  if (typeof value === 'string') {
    if (variables === 'allowed' && isVariable(value)) return undefined;
    const unresolved = ANY_VARIABLE.exec(value)?.[1];
    if (unresolved !== undefined) return { code: 'unresolved', limit: unresolved };
  }
  switch (rule.kind) {
    case 'boolean':
      return typeof value === 'boolean' ? undefined : { code: 'boolean' };
    case 'string':
      return typeof value === 'string' ? checkText(rule, value) : { code: 'text' };
    case 'list':
      return Array.isArray(value) ? checkList(rule, value, variables) : { code: 'list' };
    default:
      return typeof value === 'number' ? checkNumber(rule, value) : { code: 'number' };
  }
}

function checkText(rule: Rule, text: string): Problem | undefined {
  if (rule.options !== undefined && !rule.options.includes(text)) {
    return { code: 'option', limit: rule.options.join(', ') };
  }
  if (rule.minLength !== undefined && text.length < rule.minLength) {
    return { code: 'short', limit: rule.minLength };
  }
  if (rule.maxLength !== undefined && text.length > rule.maxLength) {
    return { code: 'long', limit: rule.maxLength };
  }
  if (rule.pattern !== undefined && !new RegExp(rule.pattern, 'u').test(text)) {
    return { code: 'pattern', limit: rule.pattern };
  }
  return undefined;
}

function checkNumber(rule: Rule, value: number): Problem | undefined {
  if (!Number.isFinite(value)) return { code: 'number' };
  if (rule.kind === 'integer' && !Number.isSafeInteger(value)) return { code: 'integer' };
  if (rule.minimum !== undefined && value < rule.minimum) return { code: 'min', limit: rule.minimum };
  if (rule.exclusiveMinimum !== undefined && value <= rule.exclusiveMinimum) {
    return { code: 'above', limit: rule.exclusiveMinimum };
  }
  if (rule.maximum !== undefined && value > rule.maximum) return { code: 'max', limit: rule.maximum };
  return undefined;
}

function checkList(rule: Rule, values: readonly unknown[], variables: 'allowed' | 'refused') {
  if (values.length === 0 && (rule.minItems ?? 0) > 0) return { code: 'required' } as const;
  if (rule.minItems !== undefined && values.length < rule.minItems) {
    return { code: 'fewer', limit: rule.minItems } as const;
  }
  if (rule.maxItems !== undefined && values.length > rule.maxItems) {
    return { code: 'more', limit: rule.maxItems } as const;
  }
  const item = rule.items;
  if (item === undefined) return undefined;
  for (const [index, value] of values.entries()) {
    const problem = checkValue(item, value, variables);
    if (problem !== undefined) return { ...problem, entry: index + 1 };
  }
  return undefined;
}
