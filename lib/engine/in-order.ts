/** What came in any order, by its place. */
export function inOrder<T>(byPlace: ReadonlyMap<number, T>): T[] {
  return [...byPlace].sort(([a], [b]) => a - b).map(([, item]) => item);
}
