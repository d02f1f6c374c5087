import assert from 'node:assert/strict';
import type { Locator, Page } from 'playwright-core';
import { until } from '../until.ts';

const PREFIX = '#red-ui-clipboard-dialog';
/** Longer than a double click, which imports at once. */
const CHOSEN_WITHIN_MS = 2_000;

/** Imports a flow that a person has copied, as a flow of its own. */
export async function importText(page: Page, text: string): Promise<void> {
  await openFromMenu(page, 'import');
  const input = page.locator(`${PREFIX}-import-text`);
  await input.fill(text);
  // Node-RED checks the text when a key is pressed.
  await input.press('End');
  const tabs = page.locator('#red-ui-workspace-tabs > li.red-ui-tab');
  const before = await tabs.count();
  await page.locator(`${PREFIX}-ok:not([disabled])`).click();
  await page.locator(`${PREFIX}-ok`).waitFor({ state: 'hidden' });
  await until(async () => (await tabs.count()) === before + 1);
  await tabs.last().click();
}

/** Import, on its page "Examples". */
export class ImportDialog {
  readonly #page: Page;
  readonly #examples: Locator;

  private constructor(page: Page) {
    this.#page = page;
    this.#examples = page.locator(`${PREFIX}-import-tab-examples`);
  }

  static async open(page: Page): Promise<ImportDialog> {
    await openFromMenu(page, 'import');
    const dialog = new ImportDialog(page);
    await page.locator(`${PREFIX}-import-tabs li`, { hasText: /^Examples$/ }).click();
    await dialog.#entry('@dbackup/node-red').click();
    return dialog;
  }

  /** The package's examples, as they are listed. */
  async examples(): Promise<string[]> {
    const names = this.#examples.locator('.red-ui-treeList-label', { hasText: /^\d\d-/ });
    await names.first().waitFor();
    return (await names.allInnerTexts()).map((name) => name.trim());
  }

  /** Imports one example, which brings a flow of its own, and goes to that flow. */
  async choose(name: string): Promise<void> {
    await this.#select(name);
    const tabs = this.#page.locator('#red-ui-workspace-tabs > li.red-ui-tab');
    const before = await tabs.count();
    await this.#page.locator(`${PREFIX}-ok`).click();
    await this.#page.locator(`${PREFIX}-ok`).waitFor({ state: 'hidden' });
    await until(async () => (await tabs.count()) === before + 1);
    await tabs.last().click();
    await this.#page.locator('#red-ui-workspace-chart g.red-ui-flow-node-group').first().waitFor();
  }

  async cancel(): Promise<void> {
    await this.#page.locator(`${PREFIX}-cancel`).click();
  }

  /** The list still unfolds while the machine is busy, so that a click may hit a neighbour: people click again. */
  async #select(name: string): Promise<void> {
    const chosen = this.#examples.locator('.red-ui-treeList-label.selected').getByText(name, { exact: true });
    const ready = this.#page.locator(`${PREFIX}-ok:not([disabled])`);
    await until(async () => {
      await this.#entry(name).click();
      const isReady = ready.waitFor({ timeout: CHOSEN_WITHIN_MS }).then(
        () => true,
        () => false,
      );
      return (await isReady) && (await chosen.isVisible());
    });
  }

  #entry(label: string): Locator {
    return this.#examples.locator('.red-ui-treeList-label').getByText(label, { exact: true });
  }
}

/** Export, of everything. */
export class ExportDialog {
  readonly #page: Page;

  private constructor(page: Page) {
    this.#page = page;
  }

  static async open(page: Page): Promise<ExportDialog> {
    await openFromMenu(page, 'export');
    await page.locator(`${PREFIX}-export-rng-full`).click();
    await page.locator(`${PREFIX}-export-tab-clipboard-tabs li`, { hasText: 'JSON' }).click();
    return new ExportDialog(page);
  }

  /** The text that a person would copy. */
  async text(): Promise<string> {
    const text = await this.#page.locator(`${PREFIX}-export-text`).inputValue();
    assert.notEqual(text, '', 'There is nothing to export');
    return text;
  }

  async cancel(): Promise<void> {
    await this.#page.locator(`${PREFIX}-cancel`).click();
  }
}

async function openFromMenu(page: Page, item: 'import' | 'export'): Promise<void> {
  await page.locator('#red-ui-header-button-sidemenu').click();
  await page.locator(`#menu-item-${item}`).click();
}
