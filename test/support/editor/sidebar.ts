import type { Locator, Page } from 'playwright-core';

/** The panels beside the canvas. */
export class Sidebar {
  readonly help: Locator;
  readonly #messages: Locator;
  readonly #clear: Locator;

  constructor(page: Page) {
    this.help = page.locator('.red-ui-help > .red-ui-help');
    this.#clear = page.locator('#red-ui-sidebar-debug-clear');
    this.#messages = page.locator('.red-ui-debug-msg');
  }

  /** All messages of the debug panel. */
  debugMessages(): Locator {
    return this.#messages;
  }

  /** Waits for a message of that debug node, unfolds it, and gives it as text. */
  async debugMessage(from: string): Promise<string> {
    const message = this.#messages.filter({ hasText: `node: ${from}` }).last();
    await message.waitFor();
    const folded = message.locator('.red-ui-debug-msg-element.collapsed > .red-ui-debug-msg-row').first();
    if (await folded.isVisible()) await folded.click();
    return message.innerText();
  }

  /** Forgets the messages of the debug panel. */
  async clear(): Promise<void> {
    await this.#clear.click();
    await this.#messages.first().waitFor({ state: 'detached' });
  }
}
