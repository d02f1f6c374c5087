import type { Locator, Page } from 'playwright-core';

/** The panels beside the canvas. */
export class Sidebar {
  readonly help: Locator;
  readonly #messages: Locator;

  constructor(page: Page) {
    this.help = page.locator('.red-ui-help > .red-ui-help');
    this.#messages = page.locator('.red-ui-debug-msg');
  }

  /** All messages of the debug panel. */
  debugMessages(): Locator {
    return this.#messages;
  }

  /** Waits for a message of the debug panel that says this, unfolded when it is an object. */
  async debugMessage(from: string): Promise<Locator> {
    const message = this.#messages.filter({ hasText: from }).last();
    await message.waitFor();
    const folded = message.locator('.red-ui-debug-msg-object-header').first();
    if (await message.locator('.red-ui-debug-msg-top-level.collapsed').isVisible()) await folded.click();
    return message;
  }
}
