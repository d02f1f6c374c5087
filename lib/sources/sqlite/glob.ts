import type { Dirent } from 'node:fs';
import { readdir, stat } from 'node:fs/promises';
import { join, parse } from 'node:path';
import { BackupError, toBackupError } from '../../errors.ts';

/** True when the text holds a character with a meaning in patterns. */
export function isPattern(text: string): boolean {
  return /[*?[{]/.test(text);
}

/**
 * The regular files that an absolute pattern selects, sorted: `*`, `?`, `[a-z]`, `[!a]` within a name, `**`
 * for any depth of folders, `{a,b}` for alternatives. Hidden names match only a pattern that starts with a
 * dot; `**` does not follow links to folders. Unlike the glob of Node.js, a folder that cannot be read is
 * an error, never an empty result.
 * @throws BackupError `permission` when a folder cannot be listed
 */
export async function expandPattern(pattern: string): Promise<string[]> {
  const found = new Set<string>();
  for (const alternative of expandBraces(pattern)) {
    const { root } = parse(alternative);
    const segments = alternative
      .slice(root.length)
      .split(/[/\\]+/)
      .filter((segment) => segment !== '');
    await walk(root, segments, found);
  }
  return [...found].sort();
}

function expandBraces(pattern: string): string[] {
  const braces = /\{([^{}]*)\}/.exec(pattern);
  if (braces === null) return [pattern];
  const before = pattern.slice(0, braces.index);
  const after = pattern.slice(braces.index + braces[0].length);
  const choices = (braces[1] ?? '').split(',');
  return choices.flatMap((choice) => expandBraces(`${before}${choice}${after}`));
}

async function walk(folder: string, segments: readonly string[], found: Set<string>): Promise<void> {
  const [segment, ...rest] = segments;
  if (segment === undefined) {
    if (await isFile(folder)) found.add(folder);
    return;
  }
  if (segment === '**') {
    await walk(folder, rest.length === 0 ? ['*'] : rest, found);
    for (const entry of await entriesOf(folder)) {
      if (entry.isDirectory() && !entry.name.startsWith('.')) {
        await walk(join(folder, entry.name), segments, found);
      }
    }
    return;
  }
  if (!isPattern(segment)) {
    await walk(join(folder, segment), rest, found);
    return;
  }
  const expression = toExpression(segment);
  for (const entry of await entriesOf(folder)) {
    if (expression.test(entry.name)) await walk(join(folder, entry.name), rest, found);
  }
}

function toExpression(segment: string): RegExp {
  const hidden = segment.startsWith('.') ? '' : '(?!\\.)';
  const source = segment.replace(/\*+|\?|\[(!?)([^\]]+)\]|[^*?[]+|\[/g, (part, negated, set) => {
    if (part.startsWith('*')) return '[^/]*';
    if (part === '?') return '[^/]';
    if (set !== undefined) return `[${negated ? '^' : ''}${String(set).replace(/[\\^\]]/g, '\\$&')}]`;
    return part.replace(/[\\^$.*+?()[\]{}|/]/g, '\\$&');
  });
  return new RegExp(`^${hidden}${source}$`, 'su');
}

async function entriesOf(folder: string): Promise<Dirent[]> {
  try {
    return await readdir(folder, { withFileTypes: true });
  } catch (error) {
    if (isAbsent(error)) return [];
    const reason = toBackupError(error);
    throw new BackupError(reason.code, `The folder ${folder} cannot be listed: ${reason.message}`, {
      cause: error,
    });
  }
}

async function isFile(path: string): Promise<boolean> {
  try {
    return (await stat(path)).isFile();
  } catch (error) {
    if (isAbsent(error)) return false;
    throw toBackupError(error);
  }
}

function isAbsent(error: unknown): boolean {
  const { code } = error as NodeJS.ErrnoException;
  return code === 'ENOENT' || code === 'ENOTDIR';
}
