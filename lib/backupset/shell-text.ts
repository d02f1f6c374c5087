/** A block of Markdown with lines for a shell. */
export function shell(lines: readonly string[]): string {
  return ['```sh', ...lines, '```'].join('\n');
}

/** Quotes a file name for a POSIX shell, and keeps the command from taking it for an option. */
export function shellQuote(name: string): string {
  return shellWord(name.startsWith('-') ? `./${name}` : name);
}

/** Quotes any text for a POSIX shell, as one word. */
export function shellWord(text: string): string {
  return `'${text.replaceAll("'", `'\\''`)}'`;
}
