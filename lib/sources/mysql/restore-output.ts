/** Smaller pieces of output are put together, in bytes. */
const OUTPUT_BYTES = 64 * 1024;
/** Statements that the client may not have run yet. */
const MAX_REMEMBERED = 40_000;
/** What an error shows of a statement, in characters. */
const SHOWN_CHARACTERS = 200;
/** What is kept for that: a character has up to four bytes. */
const KEPT_BYTES = 4 * SHOWN_CHARACTERS;

/** What goes to the client: in pieces of a fair size, with the lines on which statements end. */
export class FilterOutput {
  #pieces: Buffer[] = [];
  #bytes = 0;
  #line = 1;
  #statements: { readonly lastLine: number; readonly head: string }[] = [];

  add(bytes: Buffer): void {
    if (bytes.length === 0) return;
    this.#pieces.push(bytes);
    this.#bytes += bytes.length;
    for (let at = bytes.indexOf(10); at !== -1; at = bytes.indexOf(10, at + 1)) this.#line += 1;
  }

  endStatement(delimiter: Buffer, head: string): void {
    this.#statements.push({ lastLine: this.#line, head: head.slice(0, KEPT_BYTES) });
    if (this.#statements.length > MAX_REMEMBERED)
      this.#statements = this.#statements.slice(MAX_REMEMBERED / 2);
    this.add(delimiter);
  }

  statementAt(line: number): string | undefined {
    const statement = this.#statements.find(({ lastLine }) => lastLine >= line);
    return statement === undefined ? undefined : shownStatement(statement.head);
  }

  *full(): Generator<Buffer, void> {
    if (this.#bytes >= OUTPUT_BYTES) yield* this.rest();
  }

  /** Small pieces in one, large ones as they are. */
  *rest(): Generator<Buffer, void> {
    let small: Buffer[] = [];
    for (const piece of this.#pieces) {
      if (piece.length < OUTPUT_BYTES) small.push(piece);
      else {
        if (small.length > 0) yield Buffer.concat(small);
        small = [];
        yield piece;
      }
    }
    if (small.length > 0) yield Buffer.concat(small);
    this.#pieces = [];
    this.#bytes = 0;
  }
}

/**
 * The beginning of a statement, for people.
 * @param head bytes as latin1
 */
export function shownStatement(head: string): string {
  const text = Buffer.from(head, 'latin1').toString('utf8').replaceAll(/\s+/g, ' ').trim();
  const characters = [...text];
  return characters.length <= SHOWN_CHARACTERS ? text : `${characters.slice(0, SHOWN_CHARACTERS).join('')} …`;
}
