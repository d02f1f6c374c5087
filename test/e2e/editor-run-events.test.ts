import assert from 'node:assert/strict';
import { mkdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import type { Locator } from 'playwright-core';
import { createSampleDatabase } from '../../demo/sample-database.ts';
import { Editor } from '../support/editor/editor.ts';
import type { NodeForm } from '../support/editor/node-form.ts';
import { editorSuite } from '../support/editor/suite.ts';
import { backupFlow } from '../support/runner-flows.ts';
import { until } from '../support/until.ts';

const EVENTS = ['partial', 'failed', 'recovered', 'storage-threshold'];

/** A listener with a debug node behind it that shows the name of the event. */
function listener(): readonly object[] {
  const at = { z: 'tab', schemaVersion: 1 };
  return [
    {
      ...{ id: 'listener', type: 'dbackup-run-events', ...at, name: '', events: EVENTS, jobs: [] },
      ...{ severity: 'info', onChange: false, x: 200, y: 300, wires: [['seen']] },
    },
    {
      ...{ id: 'seen', type: 'debug', ...at, name: 'seen', active: true, tosidebar: false, console: false },
      ...{ tostatus: true, complete: 'topic', targetType: 'msg', statusVal: 'topic', statusType: 'auto' },
      ...{ x: 420, y: 300, wires: [] },
    },
  ];
}

describe('A run events node in the editor', function () {
  this.timeout(240_000);
  let folder = '';
  const suite = editorSuite((root) => {
    folder = join(root, 'sets');
    mkdirSync(folder);
    const database = join(root, 'shop.sqlite');
    createSampleDatabase(database, 300_000);
    const places = { database, first: folder, second: folder };
    const flow = backupFlow(places, { key: null, stores: ['near'], more: listener() as never });
    // Beside each other, and those that listen below.
    return {
      flow: flow.map((node, index) => ('x' in node && node.y === 100 ? { ...node, x: 140 * index } : node)),
    };
  });

  afterEach(async () => {
    await suite.editor.closeForms();
    assert.deepEqual(suite.editor.problems, []);
  });

  const node = (id: string) => suite.editor.canvas.node(id);
  const box = (form: NodeForm, event: string): Locator =>
    form.row('events').locator(`input[type="checkbox"][value="${event}"]`);
  async function ticked(form: NodeForm): Promise<string[]> {
    const boxes = await form.row('events').locator('input:checked').all();
    return Promise.all(boxes.map((ticked) => ticked.inputValue()));
  }

  it('shows a box for each event, with those ticked that it was given', async () => {
    const form = await node('listener').open();
    assert.deepEqual(await ticked(form), EVENTS);
    assert.equal(await form.row('events').locator('.dbackup-choices input').count(), 14);
    assert.match(await form.row('events').innerText(), /dead-lettered/);
    assert.equal(await form.row('events').getByRole('group', { name: 'Events' }).count(), 1);
  });

  it('marks that nothing is chosen, and says why', async () => {
    const form = await node('listener').open();
    for (const event of EVENTS) await box(form, event).uncheck();
    await form.marked('events');
    assert.match(await form.reason('events'), /^Events: is missing/);
    await box(form, 'failed').check();
    await until(async () => (await form.wrong()).length === 0);
    await form.cancel();
    assert.deepEqual(await ticked(await node('listener').open()), EVENTS, 'nothing was changed');
  });

  it('is ticked by its text, keeps what was chosen, and sends that once it is deployed', async () => {
    const form = await node('listener').open();
    await form.row('events').getByText('succeeded', { exact: true }).click();
    await form.fillList('jobs', ['sh*']);
    await form.done();
    await suite.editor.deploy();
    const again = await node('listener').open();
    assert.deepEqual(await ticked(again), ['succeeded', ...EVENTS]);
    assert.deepEqual(await again.list('jobs'), ['sh*']);
    await again.cancel();
    await node('go').press();
    await node('seen').shows(/^succeeded$/);
    await node('listener').shows(/ · shop · succeeded$/);
    assert.equal(await node('listener').statusColor(), 'green');
    rmSync(folder, { recursive: true });
    await node('go').press();
    await node('seen').shows(/^failed$/);
    await node('listener').shows(/ · shop · failed$/);
    assert.equal(await node('listener').statusColor(), 'red');
  });

  it('speaks German, on a dark ground as well', async () => {
    const german = await Editor.open(suite.browser, suite.server.url, { language: 'de', theme: 'dark' });
    try {
      const form = await german.canvas.node('listener').open();
      assert.match(await form.row('events').innerText(), /fehlgeschlagen/);
      await form.cancel();
      assert.deepEqual(german.problems, []);
    } finally {
      await german.close();
    }
  });
});
