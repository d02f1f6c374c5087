import { lstatSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';

/** Secrets of a test, each with a name, and the search for them in everything that comes out. */
export class PlantedSecrets {
  readonly values: Readonly<Record<string, string>>;
  readonly #needles: readonly (readonly [name: string, bytes: Buffer])[];

  constructor(values: Readonly<Record<string, string>>) {
    this.values = values;
    this.#needles = Object.entries(values).flatMap(([name, value]) =>
      formsOf(value).map((form) => [name, Buffer.from(form)] as const),
    );
  }

  /** Names of the secrets that stand there, as they are or encoded. */
  in(content: string | Buffer): string[] {
    const bytes = typeof content === 'string' ? Buffer.from(content) : content;
    return [...new Set(this.#needles.flatMap(([name, needle]) => (bytes.includes(needle) ? [name] : [])))];
  }

  /** The same of all files below a folder, their names included: `<file>: <name>`. */
  below(folder: string): string[] {
    return readdirSync(folder, { recursive: true, encoding: 'utf8' }).flatMap((name) => {
      const file = join(folder, name);
      // One that was removed meanwhile, and sockets, hold nothing.
      const isFile = lstatSync(file, { throwIfNoEntry: false })?.isFile() === true;
      const found = [...this.in(name), ...(isFile ? this.in(readFileSync(file)) : [])];
      return found.map((secret) => `${file}: ${secret}`);
    });
  }
}

/** A secret of several lines is found by each of them. */
function formsOf(value: string): string[] {
  const lines = value.split('\n').filter((line) => line.length >= 16 && !line.startsWith('-----'));
  return (value.includes('\n') ? lines : [value]).flatMap((text) => [
    text,
    encodeURIComponent(text),
    JSON.stringify(text).slice(1, -1),
    Buffer.from(text).toString('base64').replace(/=+$/, ''),
    Buffer.from(text).toString('hex'),
  ]);
}
