/** Control characters, and those that turn the direction of a text: they could make it say something else. */
const UNWANTED = /[\p{Cc}\u2028\u2029\u200e\u200f\u202a-\u202e\u2066-\u2069\ufeff]+/gu;

/** A text of one line, without anything invisible in it, of at most so many UTF-16 units. */
export function cleanLine(text: string, longest: number): string {
  const line = text.toWellFormed().replaceAll(UNWANTED, ' ').replaceAll(/ {2,}/g, ' ').trim();
  return shorten(line, longest);
}

/** The same with its line ends, for texts that people write. */
export function cleanText(text: string, longest: number): string {
  const lines = text
    .toWellFormed()
    .split(/\r\n|[\r\n\u2028\u2029]/)
    .map((line) => line.replaceAll(UNWANTED, ' ').trimEnd());
  return shorten(lines.join('\n').trim(), longest);
}

/** Cuts at the border of a character, and shows that it did. */
export function shorten(text: string, longest: number): string {
  if (text.length <= longest) return text;
  if (longest < 1) return '';
  const cut = text.slice(0, longest - 1);
  return `${/[\ud800-\udbff]$/.test(cut) ? cut.slice(0, -1) : cut}…`;
}
