import type { Browser, BrowserContext, Page, WebSocket } from 'playwright-core';
import { until } from '../until.ts';
import { Canvas } from './canvas.ts';
import { ExportDialog, ImportDialog } from './flow-dialogs.ts';
import { watchProblems } from './problems.ts';
import { Sidebar } from './sidebar.ts';

const READY_WITHIN_MS = 180_000;
/** For everything that the editor does at once. */
const AT_ONCE_MS = 60_000;

export interface EditorOptions {
  readonly language?: 'en-US' | 'de';
  readonly theme?: 'light' | 'dark';
  readonly width?: number;
  readonly height?: number;
  /** Pixels of a picture for each pixel of the page. */
  readonly scale?: number;
  /** For a Node-RED that lets nobody in without. */
  readonly signIn?: Person;
}

export interface Person {
  readonly username: string;
  readonly password: string;
}

/** Node-RED's editor, open in a browser of its own. */
export class Editor {
  readonly page: Page;
  readonly canvas: Canvas;
  readonly sidebar: Sidebar;
  /** Everything that went wrong so far: errors in the console, failed requests. */
  readonly problems: string[];
  readonly #context: BrowserContext;
  /** Over which the server tells the editor what happens. */
  #socket: WebSocket | undefined;

  private constructor(context: BrowserContext, page: Page) {
    this.#context = context;
    this.page = page;
    this.problems = watchProblems(page);
    page.on('websocket', (socket) => (this.#socket = socket));
    this.canvas = new Canvas(page);
    this.sidebar = new Sidebar(page);
  }

  static async open(browser: Browser, url: string, options: EditorOptions = {}): Promise<Editor> {
    const { language = 'en-US', theme = 'light', width = 1600, height = 900, scale = 1, signIn } = options;
    const context = await browser.newContext({
      viewport: { width, height },
      deviceScaleFactor: scale,
      locale: language,
    });
    context.setDefaultTimeout(AT_ONCE_MS);
    // Where the editor keeps what a person chose in its settings.
    const choices = { 'editor-language': language, 'view-dark-theme': theme };
    await context.addInitScript({
      content: `Object.entries(${JSON.stringify(choices)}).forEach((choice) => localStorage.setItem(...choice));`,
    });
    const editor = new Editor(context, await context.newPage());
    await editor.page.goto(url);
    if (signIn !== undefined) await editor.#signIn(signIn);
    await editor.#ready();
    return editor;
  }

  async #signIn({ username, password }: Person): Promise<void> {
    await this.page.locator('#node-dialog-login-username').fill(username);
    await this.page.locator('#node-dialog-login-password').fill(password);
    await this.page.locator('#node-dialog-login-submit').click();
    await this.page.locator('#node-dialog-login').waitFor({ state: 'detached' });
    // Before that, the editor was refused what it asked for.
    this.problems.length = 0;
  }

  async #ready(): Promise<void> {
    const { page } = this;
    await page.locator('.red-ui-palette-node').first().waitFor({ timeout: READY_WITHIN_MS });
    await page.locator('#red-ui-loading-progress').waitFor({ state: 'hidden', timeout: READY_WITHIN_MS });
  }

  async reload(): Promise<void> {
    await this.page.reload();
    await this.#ready();
  }

  /** Cancels the forms that are open, the uppermost first: those below it are not in sight. */
  async closeForms(): Promise<void> {
    const cancel = this.page.locator('#node-config-dialog-cancel, #node-dialog-cancel');
    const title = this.page.locator('.red-ui-tray-breadcrumbs');
    while (await cancel.isVisible()) {
      const closed = await title.innerText();
      await cancel.click();
      // The form below it comes back only when it is gone.
      await until(async () => (await title.allInnerTexts()).join() !== closed, AT_ONCE_MS);
      if ((await title.count()) > 0) await cancel.waitFor();
    }
  }

  /** Presses Deploy, and waits until the flows have started. */
  async deploy(): Promise<void> {
    // The answer to the editor comes before the flows have started; this comes when they have.
    const started = this.#socket?.waitForEvent('framereceived', {
      predicate: ({ payload }) => payload.includes('notification/runtime-deploy'),
      timeout: AT_ONCE_MS,
    });
    const button = this.page.locator('#red-ui-header-button-deploy');
    await Promise.all([started, button.click()]);
    await this.page.locator('#red-ui-header-button-deploy.disabled').waitFor();
  }

  /** Labels of the palette's nodes in this category, from top to bottom. */
  paletteLabels(category: string): Promise<string[]> {
    return this.page
      .locator(`#red-ui-palette-container-${category} .red-ui-palette-node .red-ui-palette-label`)
      .allInnerTexts();
  }

  importDialog(): Promise<ImportDialog> {
    return ImportDialog.open(this.page);
  }

  exportDialog(): Promise<ExportDialog> {
    return ExportDialog.open(this.page);
  }

  /** Waits until the editor has shown a notification with this text. */
  async notified(text: RegExp): Promise<void> {
    await this.page.locator('.red-ui-notification', { hasText: text }).first().waitFor();
  }

  /** Texts of all notifications that are in sight. */
  notifications(): Promise<string[]> {
    return this.page.locator('.red-ui-notification:visible').allInnerTexts();
  }

  async close(): Promise<void> {
    await this.#context.close();
    await until(() => this.page.isClosed());
  }
}
