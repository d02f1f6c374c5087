/** The value of one time series in Prometheus' text format; undefined when it is not there. */
export function sampleOf(
  text: string,
  name: string,
  labels: Readonly<Record<string, string>>,
): number | undefined {
  for (const line of text.split('\n')) {
    const match = /^(\w+)(?:\{(.*)\})? (\S+)$/.exec(line);
    if (match === null || match[1] !== name) continue;
    const found = Object.fromEntries(
      [...(match[2] ?? '').matchAll(/(\w+)="((?:[^"\\]|\\.)*)"/g)].map(([, label, value]) => [label, value]),
    );
    const wanted = Object.entries(labels);
    if (
      wanted.every(([label, value]) => found[label] === value) &&
      wanted.length === Object.keys(found).length
    ) {
      return Number(match[3]);
    }
  }
  return undefined;
}
