import assert from 'node:assert/strict';
import type { Locator, Page } from 'playwright-core';
import { until } from '../until.ts';

const OPEN_WITHIN_MS = 60_000;
/** Node-RED shows a tooltip after 750 ms. */
const TOOLTIP_WITHIN_MS = 5_000;

export interface ShownAnswer {
  readonly level: 'ok' | 'warning' | 'error';
  readonly text: string;
  /** Cells of each row of the table below. */
  readonly rows: readonly (readonly string[])[];
  /** Warnings below it all. */
  readonly notes: readonly string[];
}

/** The edit form of a node or, above it, of a config node. */
export class NodeForm {
  readonly tray: Locator;
  readonly #page: Page;
  readonly #prefix: 'node-input' | 'node-config-input';

  constructor(page: Page, prefix: 'node-input' | 'node-config-input') {
    this.#page = page;
    this.#prefix = prefix;
    const button = prefix === 'node-input' ? '#node-dialog-ok' : '#node-config-dialog-ok';
    this.tray = page.locator('.red-ui-tray', { has: page.locator(button) });
  }

  /**
   * Whether the form comes within that time. Its fields come after it, once the server told about secrets, and
   * the editor puts the cursor into the first one a moment later: until then it would go astray.
   */
  opened(withinMs: number): Promise<boolean> {
    return isVisibleWithin(this.tray.locator('.red-ui-tray-body :focus'), withinMs);
  }

  /** The whole row of a field: label, control, hint. */
  row(field: string): Locator {
    return this.tray.locator(`.dbackup-row[data-field="${field}"]`);
  }

  input(field: string): Locator {
    return this.tray.locator(`[id="${this.#prefix}-${field}"]`);
  }

  /** Types a value into a text field. */
  async fill(field: string, value: string): Promise<void> {
    await type(this.input(field), value);
  }

  /** Chooses an option by its value. */
  async choose(field: string, value: string): Promise<void> {
    await this.input(field).selectOption(value);
  }

  async check(field: string, checked: boolean): Promise<void> {
    await this.input(field).setChecked(checked);
  }

  /** Fills the rows of a list, adding rows as they are needed. */
  async fillList(field: string, values: readonly string[]): Promise<void> {
    const row = this.row(field);
    const entries = row.locator('.dbackup-list-entry');
    for (const [index, value] of values.entries()) {
      if ((await entries.count()) <= index) await row.locator('.red-ui-editableList-addButton').click();
      await type(entries.nth(index), value);
    }
  }

  /** Unfolds the settings that are seldom needed. */
  async unfold(): Promise<void> {
    const details = this.tray.locator('.dbackup-form details');
    if ((await details.getAttribute('open')) === null) await details.locator('summary').click();
  }

  /** Presses a button such as "Test connection", and reads what it says below. */
  async ask(action: string): Promise<ShownAnswer> {
    const row = this.tray.locator(`.dbackup-row[data-action="${action}"]`);
    await row.locator('.dbackup-control button').click();
    const result = row.locator('.dbackup-result');
    const said = result.locator('> :first-child:not(.dbackup-result-busy)');
    await said.waitFor();
    const level = /dbackup-result-(ok|warning|error)/.exec((await said.getAttribute('class')) ?? '')?.[1];
    assert.ok(level === 'ok' || level === 'warning' || level === 'error', `Not an answer: ${level}`);
    const lines = await result.locator('tr').all();
    const rows = await Promise.all(lines.map((line) => line.locator('td').allInnerTexts()));
    const notes = await result.locator('> div:not(:first-child)').allInnerTexts();
    return { level, text: await said.innerText(), rows, notes };
  }

  /** Whether the whole answer of a button is in sight. */
  async isAnswerInSight(action: string): Promise<boolean> {
    const result = this.tray.locator(`.dbackup-row[data-action="${action}"] .dbackup-result`);
    const [answer, form] = await Promise.all([
      result.boundingBox(),
      this.tray.locator('.red-ui-tray-body').boundingBox(),
    ]);
    assert.ok(answer !== null && form !== null, 'There is no answer');
    return answer.y >= form.y && answer.y + answer.height <= form.y + form.height + 1;
  }

  /** Opens the form of a new config node, as the + beside the field does. */
  addConfig(field: string): Promise<NodeForm> {
    return this.#openConfig(`${this.#prefix}-btn-${field}-add`);
  }

  /** The same for a field that takes config nodes of several types: the + asks which. */
  async addConfigOf(field: string, type: string): Promise<NodeForm> {
    await this.tray.locator(`[id="${this.#prefix}-btn-${field}-add"]`).click();
    const choice = this.#page.locator('.red-ui-menu:visible a', { hasText: type });
    await choice.click();
    return this.#configForm();
  }

  /** What a select of config nodes offers, by the type that each group is headed with. */
  async configs(field: string): Promise<Record<string, string[]>> {
    const groups = await this.input(field).locator('optgroup').all();
    const entries = groups.map(async (group) => [
      await group.getAttribute('label'),
      await group.locator('option').allTextContents(),
    ]);
    return Object.fromEntries(await Promise.all(entries));
  }

  /** Chooses a config node by its label. */
  async chooseConfig(field: string, label: string): Promise<void> {
    await this.input(field).selectOption({ label });
  }

  /** The label of the chosen option of a select. */
  chosen(field: string): Promise<string> {
    return this.input(field).locator('option:checked').innerText();
  }

  /** The rows of a list, as they stand in the form. */
  async list(field: string): Promise<string[]> {
    const entries = await this.row(field).locator('.dbackup-list-entry').all();
    return Promise.all(entries.map((entry) => entry.inputValue()));
  }

  /** A row of an answer that can be chosen. */
  choice(name: string): Locator {
    return this.tray.locator('button.dbackup-choice', { hasText: name });
  }

  /** Opens the form of the chosen config node, as the pencil beside the field does. */
  editConfig(field: string): Promise<NodeForm> {
    return this.#openConfig(`${this.#prefix}-btn-${field}-edit`);
  }

  async #openConfig(button: string): Promise<NodeForm> {
    await this.tray.locator(`[id="${button}"]`).click();
    return this.#configForm();
  }

  async #configForm(): Promise<NodeForm> {
    const form = new NodeForm(this.#page, 'node-config-input');
    assert.ok(await form.opened(OPEN_WITHIN_MS), 'The form of the config node does not open');
    return form;
  }

  /** Names of the fields that are marked as wrong. */
  async wrong(): Promise<string[]> {
    const rows = this.tray.locator('.dbackup-row[data-field]', {
      has: this.#page.locator('.input-error:visible'),
    });
    // All at once: the editor looks at a form anew a moment after something in it has changed.
    return rows.evaluateAll((elements: readonly { readonly dataset: { readonly field?: string } }[]) =>
      elements.flatMap(({ dataset }) => dataset.field ?? []),
    );
  }

  /** Waits until the editor has marked a field as wrong, which it does a moment after the change. */
  async marked(field: string): Promise<void> {
    await this.row(field).locator('.input-error:visible').first().waitFor();
  }

  /** What is said about a wrong field when the mouse rests on it. */
  async reason(field: string): Promise<string> {
    const tooltip = this.#page.locator('.red-ui-popover');
    // Node-RED may forget about a mouse that comes while the form moves beneath it: people come back with it.
    await until(async () => {
      await this.#clearTooltips();
      await this.row(field).locator('.input-error').first().hover();
      return isVisibleWithin(tooltip, TOOLTIP_WITHIN_MS);
    }, OPEN_WITHIN_MS);
    return tooltip.innerText();
  }

  /**
   * Takes the mouse away from everything that has a tooltip. When it leaves a place and is back within 50 ms,
   * which a form that moves beneath it can do, Node-RED leaves the tooltip standing for good: a press closes it.
   */
  async #clearTooltips(): Promise<void> {
    const tooltips = this.#page.locator('.red-ui-popover');
    await this.tray.locator('.red-ui-tray-header').hover();
    await until(async () => {
      await tooltips.evaluateAll((shown: readonly EventTarget[]) => {
        for (const tooltip of shown) tooltip.dispatchEvent(new Event('mousedown'));
      });
      return (await tooltips.count()) === 0;
    }, OPEN_WITHIN_MS);
  }

  /** Opens the node's help in the sidebar. */
  async showHelp(): Promise<void> {
    await this.tray.locator('.red-ui-tray-footer-left .fa-book').click();
  }

  /** Closes the form with its "Done" (for a config node: "Add" or "Update"). */
  async done(): Promise<void> {
    await this.#close(this.#prefix === 'node-input' ? '#node-dialog-ok' : '#node-config-dialog-ok');
  }

  async cancel(): Promise<void> {
    await this.#close(this.#prefix === 'node-input' ? '#node-dialog-cancel' : '#node-config-dialog-cancel');
  }

  async #close(button: string): Promise<void> {
    await this.tray.locator(button).click();
    await this.tray.waitFor({ state: 'detached' });
    // What the form has changed is drawn with the next frame, and frames take their time on a busy machine.
    await this.tray
      .page()
      .evaluate('new Promise((drawn) => requestAnimationFrame(() => requestAnimationFrame(drawn)))');
  }
}

function isVisibleWithin(element: Locator, withinMs: number): Promise<boolean> {
  return element.waitFor({ timeout: withinMs }).then(
    () => true,
    () => false,
  );
}

/** Replaces the text of a field key by key, as the editor expects it. */
async function type(input: Locator, text: string): Promise<void> {
  await input.selectText();
  await input.press('Delete');
  await input.pressSequentially(text);
}
