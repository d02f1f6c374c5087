import assert from 'node:assert/strict';
import { hostTimeZone } from '../../lib/schedule/time-zone.ts';
import type { NodeForm } from '../support/editor/node-form.ts';
import { editorSuite } from '../support/editor/suite.ts';
import { until } from '../support/until.ts';

const TAB = { id: 'the-tab', type: 'tab', label: 'Test', disabled: false, info: '' };
const at = { z: 'the-tab', schemaVersion: 1 };

/** A schedule that does not fire by itself while the test runs, with a debug node behind it. */
const FLOW = [
  TAB,
  {
    id: 'the-schedule',
    type: 'dbackup-schedule',
    ...at,
    name: '',
    every: 'month',
    day: '1',
    time: '02:30',
    zone: '',
    overlap: 'skip',
    catchUp: 24,
    jitter: 0,
    x: 200,
    y: 120,
    wires: [['the-debug']],
  },
  {
    id: 'the-debug',
    type: 'debug',
    ...at,
    name: 'seen',
    active: true,
    tosidebar: false,
    console: false,
    tostatus: true,
    complete: 'payload.reason',
    targetType: 'msg',
    statusVal: 'payload.reason',
    statusType: 'auto',
    x: 420,
    y: 120,
    wires: [],
  },
];

describe('A schedule in the editor', function () {
  this.timeout(240_000);
  const suite = editorSuite(() => ({ flow: FLOW }));
  afterEach(async () => {
    await suite.editor.closeForms();
    assert.deepEqual(suite.editor.problems, []);
  });

  const node = (id: string) => suite.editor.canvas.node(id);

  /** Rows of the next fires, as soon as they are as wanted. */
  async function nextFires(form: NodeForm, wanted: (rows: string[]) => boolean): Promise<string[]> {
    const cells = form.tray.locator('[data-action="next"] .dbackup-result td:first-child');
    await until(async () => wanted(await cells.allInnerTexts()));
    return cells.allInnerTexts();
  }

  const said = (form: NodeForm) => form.tray.locator('[data-action="next"] .dbackup-result > :first-child');

  it('shows what comes next, beside itself', async () => {
    assert.match(await node('the-schedule').shows(/^next /), /^next \d{4}-\d\d-01 02:30$|^next 02:30$/);
  });

  it('shows its next five fires in the form, and follows what is typed', async () => {
    const form = await node('the-schedule').open();
    const first = await nextFires(form, (rows) => rows.length === 5);
    assert.ok(
      first.every((row) => row.endsWith('-01 02:30')),
      first.join(),
    );
    assert.match(await said(form).innerText(), new RegExp(`^Next fires in the time zone ${hostTimeZone()} `));
    await form.choose('every', 'cron');
    await form.fill('cron', '15 4 * * sun');
    await nextFires(form, (rows) => rows.length === 5 && rows.every((row) => row.endsWith(' 04:15')));
    await form.fill('zone', 'Asia/Kolkata');
    await until(async () => (await said(form).innerText()).includes('Asia/Kolkata'));
    await form.fill('zone', '');
    await until(async () => (await form.input('zone').getAttribute('placeholder')) === hostTimeZone());
  });

  it('says in the form what is wrong with an expression or a zone', async () => {
    const form = await node('the-schedule').open();
    await form.choose('every', 'cron');
    await form.fill('cron', '0 0 30 2 *');
    await until(async () => /never fires: no month has that day/.test(await said(form).innerText()));
    await form.fill('cron', '0 0 * * *');
    await form.fill('zone', 'Europe/Berln');
    await until(async () => /"Europe\/Berln" is no time zone/.test(await said(form).innerText()));
  });

  it('marks what no schedule takes', async () => {
    const form = await node('the-schedule').open();
    await form.choose('every', 'day');
    await form.unfold();
    for (const [field, value, reason] of [
      ['time', '25:00', /does not have the right form/],
      ['catchUp', '-1', /must be at least 0/],
      ['jitter', '1.5', /must be a whole number/],
    ] as const) {
      await form.fill(field, value);
      assert.ok((await form.wrong()).includes(field), field);
      assert.match(await form.reason(field), reason);
    }
    await form.choose('every', 'week');
    await form.fillList('weekdays', ['mon', 'someday']);
    assert.ok((await form.wrong()).includes('weekdays'));
  });

  it('fires when its button is pressed', async () => {
    await node('the-schedule').press();
    await suite.editor.notified(/The schedule has fired/);
    await node('the-debug').shows(/^manual$/);
  });

  it('is paused and resumed in its form, across a deploy', async () => {
    const form = await node('the-schedule').open();
    assert.match((await form.ask('pause')).text, /paused, also across restarts/);
    await form.fill('name', 'monthly');
    await form.done();
    await node('the-schedule').shows(/^paused$/);
    await suite.editor.deploy();
    await node('the-schedule').shows(/^paused$/);
    const again = await node('the-schedule').open();
    assert.match((await again.ask('resume')).text, /is active/);
    await again.cancel();
    await node('the-schedule').shows(/^next /);
  });

  it('is red after the deploy of an expression that never fires, and its button says why', async () => {
    const form = await node('the-schedule').open();
    await form.choose('every', 'cron');
    await form.fill('cron', '0 0 31 2 *');
    await form.done();
    await suite.editor.deploy();
    await node('the-schedule').shows(/^✗ .*not set up/);
    assert.equal(await node('the-schedule').statusColor(), 'red');
    await node('the-schedule').press();
    await suite.editor.notified(/This node does not run: deploy it first/);
  });
});
