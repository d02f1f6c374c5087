import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { ROOT } from '../../build/sources.ts';
import { EVENT_NAMES, severityOf, type ToldEvent } from '../../lib/events/run-event.ts';

const PAGE = readFileSync(join(ROOT, 'docs/events.md'), 'utf8');

/** Rows of the first table below a heading, without its head. */
function rowsBelow(heading: string): string[][] {
  const found = new RegExp(`^#+ ${heading}\n(.*?)(?=^#|(?![^]))`, 'ms').exec(PAGE);
  assert.ok(found !== null, `docs/events.md has no section "${heading}"`);
  const lines = (found[1] ?? '').split('\n').filter((line) => line.startsWith('|'));
  return lines.slice(2).map((line) =>
    line
      .split('|')
      .slice(1, -1)
      .map((cell) => cell.trim()),
  );
}

const code = (cell = '') => [...cell.matchAll(/`([^`]+)`/g)].map(([, text]) => text ?? '');
const fieldsBelow = (heading: string) => rowsBelow(heading).flatMap(([names]) => code(names));

/** Fields that each interface of the events declares itself. */
function declaredFields(): Map<string, string[]> {
  const source = readFileSync(join(ROOT, 'lib/events/run-event.ts'), 'utf8');
  const interfaces = source.matchAll(/^(?:export )?interface (\w+)[^{]*\{\n(.*?)^\}/gms);
  return new Map(
    [...interfaces].map(([, name = '', body = '']) => [
      name,
      [...body.matchAll(/^ {2}readonly (\w+)\??:/gm)].map(([, field = '']) => field),
    ]),
  );
}

describe('docs/events.md', () => {
  const declared = declaredFields();
  const own = (name: string) => {
    const fields = declared.get(name);
    assert.ok(fields !== undefined, name);
    return fields.filter((field) => field !== 'event').sort();
  };

  it('lists the events that there are, and how bad they are', () => {
    const documented = rowsBelow('Names').map(([name, severity]) => [code(name)[0], severity]);
    const real = EVENT_NAMES.map((event) => [event, severityOf({ event } as ToldEvent)]);
    assert.deepEqual(documented, real);
  });

  for (const [heading, name] of [
    ['Of runs', 'OfRun'],
    ['Of progress', 'ProgressEvent'],
    ['Of the ends of runs', 'RunDetails'],
    ['A database', 'EventDatabase'],
    ['A destination', 'EventDestination'],
    ['An error', 'EventError'],
  ] as const) {
    it(`lists the fields: ${heading}`, () => {
      assert.deepEqual(fieldsBelow(heading).sort(), own(name));
    });
  }

  it('lists the fields of every event', () => {
    assert.deepEqual(fieldsBelow('Of every event').sort(), ['event', ...own('EventHead')].sort());
  });

  it('lists the fields of other events', () => {
    const rows = new Map(
      rowsBelow('Of other events').map(([name, fields = '']) => [
        code(name)[0] ?? '',
        // What stands in brackets is about the field before them.
        code(fields.replaceAll(/\([^)]*\)/g, '')).sort(),
      ]),
    );
    const interfaces = [...declared.keys()].filter((name) => name.endsWith('Event'));
    const runs = new Set(['StartedEvent', 'ProgressEvent', 'EndedEvent', 'RecoveredEvent']);
    const others = interfaces.filter((name) => !runs.has(name));
    const nameOf = (name: string) =>
      name
        .replace(/Event$/, '')
        .replaceAll(/(?<=[a-z])[A-Z]/g, '-$&')
        .toLowerCase();
    assert.deepEqual([...rows.keys()].sort(), others.map(nameOf).sort());
    for (const name of others) assert.deepEqual(rows.get(nameOf(name)), own(name), name);
  });
});
