/**
 * Filter rules of rsync (man page, FILTER RULES IN DEPTH). The first rule that fits an entry decides; what is
 * excluded is neither listed nor deleted, and folders that are excluded are not entered. All patterns of ours
 * begin with a slash, where the storage's folder is, or hold no name of an object.
 */

/** Names that begin with a dot: unfinished files, and what is not ours. */
export const NOT_HIDDEN = '- .*';
export const NOTHING_ELSE = '- *';

/** Options for the rules, in their order. */
export function filterOptions(rules: readonly string[]): string[] {
  return rules.map((rule) => `--filter=${rule}`);
}

/** Lets exactly the entry with that path through, and the folders that lead to it. */
export function includePath(names: readonly string[]): string[] {
  return names.map((_, index) => `+ /${pattern(names.slice(0, index + 1))}`);
}

/** The same for a folder and everything in it. */
export function includeTree(names: readonly string[]): string[] {
  if (names.length === 0) return ['+ /**'];
  return [...includePath(names.slice(0, -1)), `+ /${pattern(names)}/***`];
}

/** The files of that name in the folders beside the one that holds this path. */
export function includeSiblings(names: readonly string[]): string[] {
  const above = names.slice(0, -2);
  const file = names.slice(-1);
  const beside = above.length === 0 ? '/*' : `/${pattern(above)}/*`;
  return [...includePath(above), `+ ${beside}/`, `+ ${beside}/${pattern(file)}`];
}

/** A path without any wildcard's meaning. Names of objects hold no backslash, which would be one more. */
function pattern(names: readonly string[]): string {
  return names.map((name) => name.replace(/[*?[]/g, '\\$&')).join('/');
}
