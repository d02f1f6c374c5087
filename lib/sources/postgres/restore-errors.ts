/** Lines of the failing statement that an error shows. */
const SHOWN_LINES = 12;
/** Longest text of a tool in an error, in characters. */
const SHOWN_CHARACTERS = 1_500;

/** The server's text and the failing statement, out of what pg_restore or psql wrote to stderr. */
export function explainFailure(stderr: readonly string[]): string {
  return maskSecrets(relevant(stderr).slice(0, SHOWN_LINES).map(plain).join(' / ')).slice(
    0,
    SHOWN_CHARACTERS,
  );
}

/** What the tools said though all went well. */
export function warningsOf(stderr: readonly string[]): string[] {
  return stderr.map((line) => maskSecrets(plain(line)));
}

/** Passwords in statements (`PASSWORD '…'`), in connection strings and options (`password=…`), and their hashes. */
export function maskSecrets(text: string): string {
  return text
    .replaceAll(/(password\w*"?\s*=?\s*)E?'(?:[^']|'')*('|$)/gi, "$1'…'")
    .replaceAll(/(password\w*=)[^\s'",)]+/gi, '$1…')
    .replaceAll(/SCRAM-SHA-256\$[^\s'"]*|\bmd5[0-9a-f]{32}\b/g, '…');
}

/** From the entry that failed on, without what the tool said before. */
function relevant(stderr: readonly string[]): readonly string[] {
  const error = stderr.findIndex((line) => /(ERROR|FATAL|error): /.test(line));
  if (error < 0) return stderr.slice(-SHOWN_LINES);
  return stderr.slice(error);
}

function plain(line: string): string {
  return line
    .replace(/^(pg_restore|psql:<stdin>:\d+|psql): (?=\S)/, '')
    .replace(/^error: /, '')
    .trim();
}
