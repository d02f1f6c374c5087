import assert from 'node:assert/strict';
import { editorSuite } from '../support/editor/suite.ts';
import { until } from '../support/until.ts';

const at = { z: 'the-tab', schemaVersion: 1 };

function flow() {
  return [
    { id: 'the-tab', type: 'tab', label: 'Test', disabled: false, info: '' },
    { id: 'the-disk', type: 'dbackup-local-storage', schemaVersion: 1, name: 'Disk', root: '/srv/backups' },
    {
      id: 'the-guard',
      type: 'dbackup-guard',
      ...at,
      name: '',
      from: 'message',
      runs: 5,
      sizeDeviation: 30,
      rowDeviation: 30,
      durationDeviation: 200,
      minMegabytes: 0,
      maxMegabytes: 0,
      maxMinutes: 0,
      x: 300,
      y: 120,
      wires: [[], []],
    },
  ];
}

describe('The guard node in the editor', function () {
  this.timeout(240_000);
  const suite = editorSuite(() => ({ flow: flow() }));
  afterEach(async () => {
    await suite.editor.closeForms();
    assert.deepEqual(suite.editor.problems, []);
  });

  const open = () => suite.editor.canvas.node('the-guard').open();

  it('has two outputs, which say what they are for', async () => {
    const { page } = suite.editor;
    const ports = page.locator('#the-guard .red-ui-flow-port-output .red-ui-flow-port');
    await until(async () => (await ports.count()) === 2);
    const labels: string[] = [];
    for (const port of await ports.all()) {
      await port.hover();
      const shown = page.locator('.red-ui-flow-port-tooltip');
      await until(async () => (await shown.count()) === 1);
      labels.push((await shown.innerText().catch(() => shown.textContent())) ?? '');
      await page.mouse.move(5, 5);
      await until(async () => (await shown.count()) === 0);
    }
    assert.match(labels[0] ?? '', /as usual, or too few to compare with/);
    assert.match(labels[1] ?? '', /suspicious/);
  });

  it('asks for a storage, a job and an age only when it is not wired behind a destination', async () => {
    const form = await open();
    for (const field of ['storage', 'folder', 'job', 'maxAgeHours'])
      assert.equal(await form.row(field).isVisible(), false, field);
    assert.deepEqual(await form.wrong(), []);
    await form.choose('from', 'storage');
    for (const field of ['storage', 'folder', 'job', 'maxAgeHours'])
      assert.equal(await form.row(field).isVisible(), true, field);
    assert.deepEqual((await form.wrong()).toSorted(), ['job', 'storage']);
    await form.chooseConfig('storage', 'Disk');
    await form.fill('job', 'shop');
    await form.fill('maxAgeHours', '26');
    assert.deepEqual(await form.wrong(), []);
  });

  it('refuses to compare with a single backup, and percentages below nothing', async () => {
    const form = await open();
    await form.fill('runs', '1');
    await form.fill('sizeDeviation', '-1');
    assert.deepEqual((await form.wrong()).toSorted(), ['runs', 'sizeDeviation']);
    await form.fill('runs', '2');
    await form.fill('sizeDeviation', '12.5');
    assert.deepEqual(await form.wrong(), []);
  });
});
