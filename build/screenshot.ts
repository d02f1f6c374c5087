import { mkdirSync, mkdtempSync, readFileSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createSampleDatabase } from '../demo/sample-database.ts';
import { launchBrowser } from '../test/support/editor/browser.ts';
import type { Canvas } from '../test/support/editor/canvas.ts';
import { Editor } from '../test/support/editor/editor.ts';
import { linkPackage, NodeRed } from '../test/support/editor/node-red.ts';
import { ROOT } from './sources.ts';

/*
 * `npm run screenshot`: makes the picture in the README anew. Runs the quick-start flow in Node-RED over a
 * sample database, and takes a picture of the canvas when it has succeeded.
 */

const PICTURE = join(ROOT, 'docs/images/quick-start.png');
const DATABASE_BYTES = 250_000_000;
/** Around the flow, in pixels of the page. */
const MARGIN = 24;

const folder = mkdtempSync(join(tmpdir(), 'dbackup-screenshot-'));
try {
  await takePicture(prepare());
  console.log(`${PICTURE}: ${Math.round(statSync(PICTURE).size / 1000)} kB`);
} finally {
  rmSync(folder, { recursive: true, force: true });
}

function prepare() {
  const userDir = join(folder, 'user');
  mkdirSync(userDir);
  linkPackage(userDir);
  const database = join(folder, 'shop.sqlite');
  createSampleDatabase(database, DATABASE_BYTES);
  return {
    userDir,
    flow: JSON.parse(readFileSync(join(ROOT, 'flows/01-quick-start.json'), 'utf8')),
    environment: {
      APP_DATABASE: database,
      BACKUP_DIR: join(folder, 'first-disk'),
      BACKUP_DIR_2: join(folder, 'second-disk'),
      DBACKUP_MASTER_KEY: 'only for this picture',
    },
  };
}

async function takePicture(options: Parameters<typeof NodeRed.start>[0]): Promise<void> {
  const server = await NodeRed.start(options);
  const browser = await launchBrowser();
  try {
    const editor = await Editor.open(browser, server.url, { width: 1800, scale: 1.3 });
    const { canvas, page } = editor;
    await (await canvas.labelled('Back up now')).press();
    for (const disk of ['First disk', 'Second disk']) {
      await (await canvas.labelled(disk)).shows(/^✓/);
    }
    await page.locator('.red-ui-notification').first().waitFor({ state: 'detached' });
    await page.mouse.move(0, 0);
    await page.screenshot({ path: PICTURE, clip: await partWithNodes(canvas) });
  } finally {
    await browser.close();
    await server.stop();
  }
}

/** The part of the canvas that the nodes take, with a margin. */
async function partWithNodes(canvas: Canvas) {
  const boxes = (await canvas.chart.locator('g.red-ui-flow-node-group').all()).map((node) =>
    node.boundingBox(),
  );
  const shown = (await Promise.all([canvas.chart.boundingBox(), ...boxes])).filter((box) => box !== null);
  const [chart, ...nodes] = shown;
  const x = Math.max(chart?.x ?? 0, Math.min(...nodes.map((node) => node.x)) - MARGIN);
  const y = Math.max(chart?.y ?? 0, Math.min(...nodes.map((node) => node.y)) - MARGIN);
  const right = Math.max(...nodes.map((node) => node.x + node.width)) + MARGIN;
  const bottom = Math.max(...nodes.map((node) => node.y + node.height)) + MARGIN;
  return { x, y, width: right - x, height: bottom - y };
}
