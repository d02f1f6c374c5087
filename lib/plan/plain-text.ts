/**
 * A value of a flow file as text, whatever it is. `String` is not safe there: it throws for an object with a
 * property `toString` that is no function.
 */
export function plainText(value: unknown): string {
  if (typeof value === 'string') return value;
  return JSON.stringify(value) ?? String(value);
}
