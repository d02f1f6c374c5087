import assert from 'node:assert/strict';
import { EventEmitter } from 'node:events';
import { existsSync, readdirSync, readFileSync, statSync } from 'node:fs';
import { dirname, join, relative } from 'node:path';
import type { Command } from 'commander';
import { BackupError } from '../../lib/errors.ts';
import type { EngineEvents, RunResult } from '../../lib/runs/outcome.ts';
import { packageSettings } from '../../nodes/package-settings.ts';
import { nodeSchemas } from '../../nodes/schemas.ts';
import { EXIT } from '../../runner/exit-codes.ts';
import { createOutput } from '../../runner/output.ts';
import { createProgram } from '../../runner/program.ts';
import { JsonReport } from '../../runner/report/json-report.ts';
import { captured } from '../support/captured-output.ts';
import { sampleManifest } from '../support/sample-manifest.ts';

const ROOT = join(import.meta.dirname, '..', '..');
const RUNNER = read('docs/runner.md');

/** What fields of events can say. */
const VALUES = new Set(
  'error warning info warn dumping committing healing verifying waiting succeeded partial failed cancelled serve run'.split(
    ' ',
  ),
);

describe('docs/runner.md', () => {
  const commands = leafCommands(createProgram(async () => undefined));

  it('lists the commands that there are, with their arguments', () => {
    const documented = tableOf(RUNNER, 'Commands').map(([command]) => code(command));
    const real = [...commands].map(([name, command]) => [name, ...argumentsOf(command)].join(' '));
    assert.deepEqual(documented.flat().sort(), real.sort());
  });

  it('lists the options that there are, and the commands that take them', () => {
    const documented = tableOf(RUNNER, 'Options').flatMap(([flags, takers]) =>
      code(takers).map((command) => `${command}: ${code(flags)}`),
    );
    const real = [...commands].flatMap(([name, command]) =>
      command.options.map(({ flags }) => `${name}: ${flags}`),
    );
    assert.deepEqual(documented.sort(), real.sort());
  });

  it('lists the exit codes that there are', () => {
    assert.deepEqual(exitCodesIn(RUNNER, 'Exit codes'), Object.values(EXIT).map(String));
  });

  it('lists the events that --json writes, and their fields', () => {
    const written = eventsOfReport();
    const rows = new Map(
      tableOf(RUNNER, 'Events of `--json`').map(([event, fields]) => [code(event)[0] ?? '', code(fields)]),
    );
    assert.deepEqual([...rows.keys()].sort(), [...written.keys()].sort());
    for (const [event, fields] of written) {
      const documented = (rows.get(event) ?? []).filter((name) => !VALUES.has(name) || fields.has(name));
      assert.deepEqual([...new Set(documented)].sort(), [...fields].sort(), event);
    }
  });

  it('lists the environment variables that the sources read', () => {
    const documented = tableOf(RUNNER, 'Environment').flatMap(([name]) => code(name));
    const sources = ['lib', 'nodes', 'runner'].flatMap((folder) => filesBelow(folder, '.ts')).map(read);
    const known = new Set(sources.flatMap((text) => text.match(/DBACKUP_[A-Z]+(_[A-Z]+)*\b/g) ?? []));
    // Any secret can also be in a file: the name of that variable is put together.
    const secrets = sources.flatMap((text) => [
      ...text.matchAll(/(?:secretFrom|environmentSecret)\('(\w+)'/g),
    ]);
    for (const [, name] of secrets) known.add(`${name}_FILE`);
    assert.deepEqual(documented.filter((name) => name.startsWith('DBACKUP_')).sort(), [...known].sort());
  });

  it('lists the settings of settings.js', () => {
    const documented = tableOf(RUNNER, 'settings.js').flatMap(([name]) => code(name));
    assert.deepEqual(documented.sort(), Object.keys(packageSettings.shape).sort());
  });
});

describe('README.md', () => {
  it('lists the nodes that there are', () => {
    const documented = tableOf(read('README.md'), 'Nodes').flatMap(([type]) => code(type));
    assert.deepEqual(documented.sort(), Object.keys(nodeSchemas).sort());
  });

  it('lists the exit codes that there are', () => {
    assert.deepEqual(exitCodesIn(read('README.md'), 'Without the editor'), Object.values(EXIT).map(String));
  });
});

describe('the documentation', () => {
  const pages = ['README.md', 'CONTRIBUTING.md', 'CHANGELOG.md', ...filesBelow('docs', '.md')];
  const commands = leafCommands(createProgram(async () => undefined));

  for (const page of pages) {
    it(`${page}: its links lead somewhere`, () => {
      const broken = linksIn(read(page)).filter((link) => !leads(page, link));
      assert.deepEqual(broken, []);
    });

    it(`${page}: its commands exist`, () => {
      const wrong = callsIn(read(page)).filter((call) => !isCall(call, commands));
      assert.deepEqual(wrong, []);
    });
  }
});

/** Commands that do something, by their names: `key create`. */
function leafCommands(program: Command): Map<string, Command> {
  const found = new Map<string, Command>();
  const visit = (command: Command, name: string): void => {
    if (command.commands.length === 0) found.set(name, command);
    for (const child of command.commands) visit(child, `${name} ${child.name()}`.trim());
  };
  visit(program, '');
  return found;
}

function argumentsOf(command: Command): string[] {
  return command.registeredArguments.map((argument) =>
    argument.required ? `<${argument.name()}>` : `[${argument.name()}]`,
  );
}

/** What every event of `--json` can hold, told by a report that everything happens to. */
function eventsOfReport(): Map<string, Set<string>> {
  const { streams, stdout } = captured();
  const report = new JsonReport(createOutput(streams.stdout, streams.stderr));
  const error = new BackupError('corrupt', 'It is damaged');
  const events = new EventEmitter<EngineEvents>();
  const run = { runId: 'r', job: 'j' };
  const nodes = ['n'];
  report.problems([{ severity: 'error', code: 'loop', message: 'm', node: 'n', field: 'f' }]);
  report.follow(events);
  events.emit('state', { ...run, state: 'planning', nodes });
  events.emit('queued', { ...run, nodes, position: 1, count: 2, server: 's' });
  events.emit('state', { ...run, state: 'running', nodes });
  const bytes = { rawBytes: 1, expectedBytes: 2, rate: 1, etaSeconds: 1, storedBytes: { n: 1 } };
  events.emit('progress', {
    ...run,
    nodes,
    stage: 'dumping',
    database: 'd',
    index: 1,
    count: 1,
    ...bytes,
    retry: { nodes, attempt: 2, attempts: 5, seconds: 8 },
  });
  events.emit('notice', { runId: 'r', level: 'warn', message: 'm', node: 'n' });
  events.emit('artifactFailed', { runId: 'r', node: 'n', database: 'd', error });
  const reference = { path: 'p', node: 'n', storage: 's', status: 'complete' } as const;
  const times = { openedAt: new Date(), finishedAt: new Date() };
  const result: RunResult = {
    ...run,
    ...times,
    state: 'partial',
    needs: { destinations: 'copies', copies: 2 },
    rawBytes: 1,
    artifacts: [{ node: 'n', database: 'd', error }],
    destinations: [
      {
        node: 'n',
        label: 'l',
        set: { reference, manifest: sampleManifest(), healed: false },
        attempts: 2,
        verified: true,
      },
      { node: 'n', label: 'l', error },
    ],
    error,
  };
  events.emit('finished', result);
  const logged = { level: 'error', message: 'm', node: { id: 'n', type: 't' } } as const;
  report.log(logged);
  report.listening('http://127.0.0.1:1');
  report.failed(error);
  report.ended({
    exitCode: 5,
    results: [result],
    nodeErrors: [{ line: logged, caught: true }],
    elapsedMs: 1,
  });
  const found = new Map<string, Set<string>>();
  for (const line of stdout().trimEnd().split('\n')) {
    const value = JSON.parse(line) as { event: string };
    const fields = found.get(value.event) ?? new Set();
    found.set(value.event, fields);
    for (const field of fieldsOf(value)) fields.add(field);
  }
  return found;
}

/** Names of fields at any depth, but those that every event or error has, and names of nodes. */
function fieldsOf(value: unknown): string[] {
  if (Array.isArray(value)) return value.flatMap(fieldsOf);
  if (typeof value !== 'object' || value === null || value instanceof Date) return [];
  return Object.entries(value).flatMap(([name, inner]) => {
    if (name === 'event' || name === 'time') return [];
    return name === 'storedBytes' || name === 'error' ? [name] : [name, ...fieldsOf(inner)];
  });
}

/** Rows of the first table below a heading, without its head, as cells. */
function tableOf(text: string, heading: string): string[][] {
  const from = text.indexOf(`## ${heading}\n`);
  assert.ok(from >= 0, `there is a section ${heading}`);
  const section = text.slice(from).split(/\n##+ /)[0] ?? '';
  const rows = section.split('\n').filter((line) => line.startsWith('|'));
  return rows.slice(2).map((row) => {
    const cells = row.replaceAll('\\|', '\u0000').split('|').slice(1, -1);
    return cells.map((cell) => cell.replaceAll('\u0000', '|').trim());
  });
}

/** What stands in backticks. */
function code(cell: string | undefined): string[] {
  return [...(cell ?? '').matchAll(/`([^`]+)`/g)].map(([, inside]) => inside ?? '');
}

function exitCodesIn(text: string, heading: string): string[] {
  return tableOf(text, heading).flatMap(([codes]) => (codes ?? '').split(', '));
}

function linksIn(text: string): string[] {
  const outside = text.replaceAll(/```[\s\S]*?```/g, '').replaceAll(/`[^`\n]*`/g, '');
  const links = [...outside.matchAll(/\]\(([^)\s]+)\)/g)].map(([, target]) => target ?? '');
  return links.filter((link) => !/^[a-z]+:/.test(link));
}

function leads(page: string, link: string): boolean {
  const [path = '', anchor] = link.split('#');
  const target = path === '' ? page : join(dirname(page), path);
  if (!existsSync(join(ROOT, target))) return false;
  return anchor === undefined || anchorsOf(read(target)).has(anchor);
}

/** The anchors that GitHub makes of headings. */
function anchorsOf(text: string): Set<string> {
  const headings = text.replaceAll(/```[\s\S]*?```/g, '').match(/^#+ .*$/gm) ?? [];
  return new Set(
    headings.map((heading) =>
      heading
        .replace(/^#+ /, '')
        .toLowerCase()
        .replaceAll(/[^\p{L}\p{N} _-]/gu, '')
        .replaceAll(' ', '-'),
    ),
  );
}

/** Calls of `dbackup` in shell blocks and in backticks, as words. */
function callsIn(text: string): string[][] {
  const blocks = [...text.matchAll(/```sh\n([\s\S]*?)```/g)].flatMap(([, block]) =>
    (block ?? '').split('\n'),
  );
  const inline = code(text.replaceAll(/```[\s\S]*?```/g, ''));
  return [...blocks, ...inline]
    .map((line) => /^(?:npx )?dbackup (.*)$/.exec(line.replace(/ +#.*$/, ''))?.[1])
    .filter((rest) => rest !== undefined)
    .map((rest) => rest.trim().split(/ +/));
}

function isCall(words: readonly string[], commands: ReadonlyMap<string, Command>): boolean {
  const [first = '', second = ''] = words;
  if (first === 'help' || first.startsWith('--') || first.startsWith('<')) return true;
  const command = commands.get(first) ?? commands.get(`${first} ${second}`);
  if (command === undefined) return false;
  const known = new Set(['--help', ...command.options.map(({ long }) => long ?? '')]);
  return words.filter((word) => word.startsWith('--')).every((option) => known.has(option));
}

function filesBelow(folder: string, extension: string): string[] {
  return readdirSync(join(ROOT, folder), { recursive: true, encoding: 'utf8' })
    .filter((name) => name.endsWith(extension) && statSync(join(ROOT, folder, name)).isFile())
    .map((name) => relative(ROOT, join(ROOT, folder, name)));
}

function read(file: string): string {
  return readFileSync(join(ROOT, file), 'utf8');
}
