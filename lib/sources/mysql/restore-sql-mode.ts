/**
 * Follows the session's sql_mode through the SET statements of a dump, since it decides how what comes next
 * is read: `SET @OLD_SQL_MODE=@@SQL_MODE, SQL_MODE='NO_AUTO_VALUE_ON_ZERO'`.
 */
export class SqlModeFollower {
  #mode: string;
  readonly #first: string;
  readonly #saved = new Map<string, string>();

  /** @param mode the mode of a new session */
  constructor(mode: string) {
    this.#mode = mode;
    this.#first = mode;
  }

  /** Whether a backslash in a string makes the next character an ordinary one. */
  get backslashEscapes(): boolean {
    return !/\bNO_BACKSLASH_ESCAPES\b/i.test(this.#mode);
  }

  /** Whether double quotes are for names, as in the modes that imply it. */
  get ansiQuotes(): boolean {
    return /\b(ANSI_QUOTES|ANSI|ORACLE|MSSQL|DB2|POSTGRESQL|MAXDB)\b/i.test(this.#mode);
  }

  /** Takes a whole SET statement. */
  follow(statement: string): void {
    for (const [, variable = ''] of statement.matchAll(SAVE)) {
      this.#saved.set(variable.toLowerCase(), this.#mode);
    }
    const match = ASSIGN.exec(statement);
    if (match === null) return;
    const [, single, double, variable] = match;
    const saved = this.#saved.get((variable ?? '').toLowerCase()) ?? this.#first;
    this.#mode = single ?? double ?? saved;
  }
}

const SAVE = /@(\w+)\s*:?=\s*@@(?:SESSION\.)?SQL_MODE\b/gi;
const ASSIGN = /(?:^|[\s,])(?<!GLOBAL\s+)(?:@@SESSION\.|@@)?SQL_MODE\s*:?=\s*(?:'([^']*)'|"([^"]*)"|@(\w+))/i;
