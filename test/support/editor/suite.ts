import { mkdirSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Browser } from 'playwright-core';
import { skipBecause } from '../skip.ts';
import { CHROMIUM, isBrowserInstalled, launchBrowser } from './browser.ts';
import { Editor, type EditorOptions } from './editor.ts';
import { linkPackage, NodeRed, type NodeRedOptions } from './node-red.ts';

export interface SuiteOptions extends Omit<NodeRedOptions, 'userDir'> {
  /** Installs the package into the user directory; this checkout when it is not given. */
  readonly install?: (userDir: string) => void | Promise<void>;
  readonly editor?: EditorOptions;
}

/** What the tests of a suite work with; there from its first test on. */
export interface EditorSuite {
  /** Empty at first, and removed at the end. */
  readonly folder: string;
  readonly server: NodeRed;
  readonly browser: Browser;
  readonly editor: Editor;
}

/**
 * Makes the suite around it start Node-RED with the package in a fresh user directory, and a browser with
 * its editor; both end with the suite. A test that fails leaves a picture in `DBACKUP_TEST_PICTURES`.
 * @param prepare called with the suite's folder, before Node-RED starts
 */
export function editorSuite(prepare: (folder: string) => SuiteOptions | Promise<SuiteOptions>): EditorSuite {
  const suite: { -readonly [Part in keyof EditorSuite]?: EditorSuite[Part] } = {};
  before(async function () {
    this.timeout(240_000);
    if (!isBrowserInstalled()) skipBecause(this, `there is no browser ${CHROMIUM}`);
    suite.folder = await mkdtemp(join(tmpdir(), 'dbackup-editor-'));
    const { install = linkPackage, editor, ...options } = await prepare(suite.folder);
    const userDir = join(suite.folder, 'user');
    mkdirSync(userDir);
    await install(userDir);
    suite.server = await NodeRed.start({ userDir, ...options });
    suite.browser = await launchBrowser();
    suite.editor = await Editor.open(suite.browser, suite.server.url, editor);
  });
  afterEach(async function () {
    const pictures = process.env.DBACKUP_TEST_PICTURES;
    if (pictures === undefined || this.currentTest?.state !== 'failed') return;
    const name = this.currentTest.fullTitle().replaceAll(/\W+/g, '-');
    await suite.editor?.page.screenshot({ path: join(pictures, `${name}.png`) });
  });
  after(async () => {
    await suite.browser?.close();
    await suite.server?.stop();
    if (suite.folder !== undefined) await rm(suite.folder, { recursive: true, force: true });
  });
  return suite as EditorSuite;
}
