/** How long a text is, as a service counts: UTF-16 units, bytes… */
export type Measure = (text: string) => number;

export const units: Measure = (text) => text.length;
export const bytes: Measure = (text) => Buffer.byteLength(text);

/**
 * As many lines as there is room for, and how many there are beyond them. Lines are never cut, so that no markup in them
 * is.
 * @param more how many lines were left out before
 */
export function fitLines(
  lines: readonly string[],
  longest: number,
  options: { readonly more?: number; readonly measure?: Measure } = {},
): string {
  const { more = 0, measure = units } = options;
  const all = joined(lines, more);
  if (measure(all) <= longest) return all;
  for (let count = lines.length - 1; count > 0; count -= 1) {
    const text = joined(lines.slice(0, count), lines.length - count + more);
    if (measure(text) <= longest) return text;
  }
  return '';
}

function joined(lines: readonly string[], more: number): string {
  return more > 0 ? [...lines, `… and ${more} more`].join('\n') : lines.join('\n');
}
