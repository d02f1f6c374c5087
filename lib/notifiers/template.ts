import type { Liquid } from 'liquidjs';
import { BackupError } from '../errors.ts';
import { formatBytes, formatDuration } from '../quantities.ts';
import { cleanText } from './clean-text.ts';
import type { NotificationContent } from './content.ts';
import { symbolOf } from './content-lines.ts';
import { liquidLibrary } from './liquid-library.ts';
import { testContent } from './own-content.ts';
import type { TextFormat } from './text-format.ts';

/** Longest template, in characters. */
export const LONGEST_TEMPLATE = 20_000;
/** Longest text that a template may make; channels have their own limits below it. */
const LONGEST_OUTPUT = 100_000;
/** What rendering may take: a template of a person is done within a few milliseconds. */
const RENDER_MS = 500;
const MEMORY_UNITS = 1_000_000;
/** Those that read other files. */
const TAGS_OF_FILES = ['include', 'render', 'layout', 'block'];

const engines = new Map<string, Liquid>();

/**
 * Renders a template in the language Liquid (https://liquidjs.com). Values are escaped for the format; what the template
 * itself says is not. It reaches no file and no network, and ends within limits of time and memory.
 * @throws BackupError `invalid-config` that says what is wrong in which line
 */
export function renderTemplate(template: string, content: NotificationContent, format: TextFormat): string {
  try {
    const rendered = engineOf(format).parseAndRenderSync(template, scopeOf(content)) as unknown;
    return cleanText(String(rendered), LONGEST_OUTPUT);
  } catch (thrown) {
    throw templateError(thrown);
  }
}

/** What is wrong with a template, as far as that can be seen before it is used; undefined when it is fine. */
export function templateProblem(template: string, format: TextFormat): string | undefined {
  try {
    renderTemplate(template, testContent(new Date(0), 'DBackup'), format);
    return undefined;
  } catch (thrown) {
    return (thrown as BackupError).message;
  }
}

function engineOf(format: TextFormat): Liquid {
  const known = engines.get(format.name);
  if (known !== undefined) return known;
  const { Liquid } = liquidLibrary();
  const engine = new Liquid({
    // An empty set of templates in place of the file system.
    templates: {},
    dynamicPartials: false,
    strictFilters: true,
    strictVariables: false,
    ownPropertyOnly: true,
    timezoneOffset: 0,
    outputEscape: (value: unknown) => escapeValue(value, format),
    parseLimit: LONGEST_TEMPLATE,
    renderLimit: RENDER_MS,
    memoryLimit: MEMORY_UNITS,
  });
  for (const tag of TAGS_OF_FILES) delete engine.tags[tag];
  engine.registerFilter('bytes', (value: unknown) => formatBytes(Number(value) || 0));
  engine.registerFilter('duration', (value: unknown) => formatDuration((Number(value) || 0) * 1000));
  engines.set(format.name, engine);
  return engine;
}

function escapeValue(value: unknown, format: TextFormat): string {
  if (value === undefined || value === null) return '';
  if (typeof value === 'number' || typeof value === 'boolean') return String(value);
  if (typeof value === 'object') {
    const json = JSON.stringify(value) ?? '';
    return format.name === 'json' ? json : format.escape(json);
  }
  return format.escape(String(value));
}

/** What a template can name. */
function scopeOf(content: NotificationContent): object {
  return { ...content, symbol: symbolOf(content) };
}

function templateError(thrown: unknown): BackupError {
  if (thrown instanceof BackupError) return thrown;
  const message = thrown instanceof Error ? thrown.message : String(thrown);
  const [, what = message, line] = /^(.*), line:(\d+), col:\d+/s.exec(message) ?? [];
  const place = line === undefined ? '' : ` in line ${line}`;
  return new BackupError('invalid-config', `the template has an error${place}: ${plain(what)}`);
}

function plain(message: string): string {
  if (message.startsWith('parse length limit')) return `it has more than ${LONGEST_TEMPLATE} characters`;
  return message.split('\n')[0] ?? message;
}
