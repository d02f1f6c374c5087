import assert from 'node:assert/strict';
import { mkdirSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { createLocalDestination } from '../../lib/destinations/local/local.ts';
import { Editor } from '../support/editor/editor.ts';
import type { NodeForm } from '../support/editor/node-form.ts';
import { editorSuite } from '../support/editor/suite.ts';
import { plantSet } from '../support/planted-sets.ts';
import { until } from '../support/until.ts';

const DAY = 86_400_000;
const at = { z: 'the-tab', schemaVersion: 1 };

/** A source that is never fired, a destination with sets of its job, and a retention node behind it. */
function flow(root: string) {
  return [
    { id: 'the-tab', type: 'tab', label: 'Test', disabled: false, info: '' },
    { id: 'the-disk', type: 'dbackup-local-storage', schemaVersion: 1, name: 'Disk', root, create: true },
    {
      id: 'the-source',
      type: 'dbackup-sqlite',
      ...at,
      job: 'shop',
      files: ['/srv/shop.sqlite'],
      x: 160,
      y: 120,
      wires: [['the-target']],
    },
    {
      id: 'the-target',
      type: 'dbackup-local',
      ...at,
      name: 'target',
      storage: 'the-disk',
      folder: '',
      rate: '',
      x: 340,
      y: 120,
      wires: [['the-keeper']],
    },
    {
      id: 'the-keeper',
      type: 'dbackup-retention',
      ...at,
      name: '',
      from: 'message',
      keepLast: 2,
      keepWithin: '',
      keepHourly: 0,
      keepDaily: 0,
      keepWeekly: 0,
      keepMonthly: 0,
      keepYearly: 0,
      keepTags: [],
      zone: 'UTC',
      afterPartial: false,
      dryRun: false,
      x: 520,
      y: 120,
      wires: [[]],
    },
    {
      id: 'the-loose',
      type: 'dbackup-retention',
      ...at,
      name: 'loose',
      from: 'message',
      keepLast: 1,
      x: 520,
      y: 220,
      wires: [[]],
    },
  ];
}

describe('Retention in the editor', function () {
  this.timeout(240_000);
  let root: string;
  const suite = editorSuite(async (folder) => {
    root = join(folder, 'backups');
    mkdirSync(root);
    const storage = createLocalDestination({ root, reserveMiB: 0 });
    for (const days of [1, 2, 3]) await plantSet(storage, Date.now() - days * DAY);
    await plantSet(storage, Date.now() - 4 * DAY, { annotations: { pinned: true } });
    return { flow: flow(root) };
  });
  afterEach(async () => {
    await suite.editor.closeForms();
    assert.deepEqual(suite.editor.problems, []);
  });

  const open = (id = 'the-keeper') => suite.editor.canvas.node(id).open();
  const squares = (form: NodeForm, kind: string) =>
    form.tray.locator(`.dbackup-calendar > svg rect.dbackup-keep-${kind}`);

  it('shows in a dry run what would go and why, and removes nothing', async () => {
    const form = await open();
    const { level, text, rows } = await form.ask('dryRun');
    assert.deepEqual([level, text], ['ok', '3 sets are kept, 1 would be removed (41 B)']);
    assert.deepEqual(
      rows.map(([, why]) => why),
      ['newest good set, last 1 of 2', 'last 2 of 2', 'is removed: no rule keeps it', 'pinned'],
    );
    assert.match(rows[0]?.[0] ?? '', /^20\d\d-\d\d-\d\d \d\d:\d\d$/);
    assert.equal(readdirSync(join(root, 'shop')).length, 4);
    await form.fill('keepLast', '3');
    assert.equal((await form.ask('dryRun')).text, '4 sets are kept, 0 would be removed (0 B)');
  });

  it('asks a storage of its own, deployed or not', async () => {
    const form = await open('the-loose');
    const nowhere = await form.ask('dryRun');
    assert.deepEqual([nowhere.level, /No destination leads here/.test(nowhere.text)], ['warning', true]);
    await form.choose('from', 'storage');
    await form.chooseConfig('storage', 'Disk');
    await form.fill('job', 'shop');
    assert.equal((await form.ask('dryRun')).text, '4 sets are kept, 0 would be removed (0 B)');
    await form.fill('job', 'crm');
    assert.match((await form.ask('dryRun')).text, /There are no backup sets of the job crm yet/);
  });

  it('draws what its rules leave, and follows what is typed', async () => {
    const form = await open();
    await until(async () => (await squares(form, 'last').count()) === 2);
    assert.equal(await squares(form, 'monthly').count(), 0);
    await form.fill('keepMonthly', '6');
    await until(async () => (await squares(form, 'monthly').count()) > 3);
    await form.fill('keepDaily', '7');
    await until(async () => (await squares(form, 'daily').count()) === 5);
    const row = form.tray.locator('[data-action="simulate"]');
    await row.locator('select').selectOption('1w');
    await until(
      async () =>
        (await squares(form, 'daily').count()) > 3 && /leaves in 40\d days/.test(await row.innerText()),
    );
    await row.locator('select').selectOption('1d');
    await until(async () => (await squares(form, 'gone').count()) > 300);
  });

  it('goes through the days with a slider', async () => {
    const form = await open();
    await form.fill('keepDaily', '7');
    await until(async () => (await squares(form, 'daily').count()) === 5);
    const slider = form.tray.locator('.dbackup-calendar input[type="range"]');
    const day = form.tray.locator('.dbackup-calendar-day');
    assert.match(await day.innerText(), /^At the end of 20\d\d-\d\d-\d\d: 7 sets$/);
    await slider.fill('2');
    assert.match(await day.innerText(), /: 3 sets$/);
    assert.equal(await squares(form, 'gone').count(), 0);
    assert.ok((await squares(form, 'later').count()) > 390);
    // It is no setting: the answer that it belongs to stays.
    await slider.press('ArrowRight');
    assert.match(await day.innerText(), /: 4 sets$/);
  });

  it('says what is wrong with a policy', async () => {
    const form = await open();
    await form.fill('keepWithin', '30');
    assert.match(await form.reason('keepWithin'), /does not have the right form/);
    await form.fill('keepWithin', '');
    await form.fill('keepLast', '0');
    const said = form.tray.locator('[data-action="simulate"] .dbackup-result > :first-child');
    await until(async () => /keeps nothing/.test(await said.innerText()));
    await form.fill('keepLast', '1');
    await form.fill('zone', 'Europe/Berln');
    await until(async () => /is no time zone/.test(await said.innerText()));
  });

  it('speaks German, in a dark editor, within its form', async () => {
    const editor = await Editor.open(suite.browser, suite.server.url, { language: 'de', theme: 'dark' });
    try {
      const form = await editor.canvas.node('the-keeper').open();
      await form.fill('keepWeekly', '8');
      const { text, rows } = await form.ask('dryRun');
      assert.match(text, /^\d Sätze bleiben, \d würden entfernt/);
      assert.match(rows[0]?.[1] ?? '', /^neuester guter Satz, letzter 1 von 2, wöchentlich 20\d\d-W\d\d$/);
      await until(async () => (await squares(form, 'weekly').count()) > 4);
      const body = await form.tray.locator('.red-ui-tray-body').boundingBox();
      const picture = await form.tray.locator('.dbackup-calendar > svg').boundingBox();
      assert.ok(body !== null && picture !== null && picture.x + picture.width <= body.x + body.width);
      assert.deepEqual(editor.problems, []);
    } finally {
      await editor.close();
    }
  });
});
