import assert from 'node:assert/strict';
import type { Locator, Page } from 'playwright-core';
import { until } from '../until.ts';
import { drag, middleOf, type Point } from './mouse.ts';
import { NodeForm } from './node-form.ts';

/** A backup takes its time on a busy machine. */
const RUN_WITHIN_MS = 180_000;
const OPEN_WITHIN_MS = 10_000;

/** The flow that is open in the editor. */
export class Canvas {
  readonly #page: Page;
  readonly chart: Locator;

  constructor(page: Page) {
    this.#page = page;
    this.chart = page.locator('#red-ui-workspace-chart');
  }

  /** Drags a node from the palette to a place of the canvas, measured from the corner that is in sight. */
  async add(type: string, at: Point): Promise<CanvasNode> {
    const template = this.#page.locator(`.red-ui-palette-node[data-palette-type="${type}"]`);
    await template.scrollIntoViewIfNeeded();
    const corner = await this.chart.boundingBox();
    assert.ok(corner, 'There is no canvas');
    const before = new Set(await this.ids());
    await drag(this.#page, await middleOf(template), { x: corner.x + at.x, y: corner.y + at.y });
    const added = async () => (await this.ids()).filter((id) => !before.has(id));
    await until(async () => (await added()).length === 1);
    return this.node((await added())[0] ?? '');
  }

  /** Drags a wire from the output of a node to the input of another. */
  async wire(from: CanvasNode, to: CanvasNode): Promise<void> {
    const wires = this.chart.locator('.red-ui-flow-link-line');
    const before = await wires.count();
    await drag(this.#page, await middleOf(from.output), await middleOf(to.input));
    await until(async () => (await wires.count()) === before + 1);
  }

  node(id: string): CanvasNode {
    return new CanvasNode(this.#page, id);
  }

  /** The node with this text on it; an inject node with a schedule has an arrow behind it. */
  async labelled(label: string): Promise<CanvasNode> {
    const literally = label.replaceAll(/[\\^$.*+?()[\]{}|]/g, String.raw`\$&`);
    const group = this.chart.locator('g.red-ui-flow-node-group', {
      has: this.#page.locator('.red-ui-flow-node-label-text', {
        hasText: new RegExp(`^${literally}(\\s↻)?$`),
      }),
    });
    const id = await group.getAttribute('id');
    assert.ok(id, `No node is labelled ${label}`);
    return this.node(id);
  }

  /** The status texts that are in sight. */
  async statuses(): Promise<string[]> {
    return this.chart.locator('.red-ui-flow-node-status-label:visible').allTextContents();
  }

  /** Ids of all nodes of the flow. */
  ids(): Promise<string[]> {
    const nodes = this.chart.locator('g.red-ui-flow-node-group');
    return nodes.evaluateAll((all: readonly { readonly id: string }[]) => all.map(({ id }) => id));
  }

  /** Nodes whose type the editor does not know. */
  unknown(): Promise<string[]> {
    const nodes = this.chart.locator('g.red-ui-flow-node-group', {
      has: this.#page.locator('.red-ui-flow-node-unknown'),
    });
    return nodes.locator('.red-ui-flow-node-label').allTextContents();
  }

  /** What stands on the nodes with a red triangle. */
  async invalid(): Promise<string[]> {
    const nodes = this.chart.locator('g.red-ui-flow-node-group', {
      has: this.#page.locator('.red-ui-flow-node-error:visible'),
    });
    return nodes.locator('.red-ui-flow-node-label').allTextContents();
  }
}

/** A node on the canvas. */
export class CanvasNode {
  readonly id: string;
  readonly group: Locator;
  readonly output: Locator;
  readonly input: Locator;
  readonly label: Locator;
  readonly status: Locator;
  readonly #page: Page;

  constructor(page: Page, id: string) {
    this.#page = page;
    this.id = id;
    this.group = page.locator(`g[id="${id}"]`);
    this.output = this.group.locator('.red-ui-flow-port-output .red-ui-flow-port');
    this.input = this.group.locator('.red-ui-flow-port-input .red-ui-flow-port');
    this.label = this.group.locator('.red-ui-flow-node-label');
    this.status = this.group.locator('.red-ui-flow-node-status-label');
  }

  /** Opens the edit form with a double click. */
  async open(): Promise<NodeForm> {
    const form = new NodeForm(this.#page, 'node-input');
    // Lies over the canvas while a form is open or on its way.
    const shade = this.#page.locator('#red-ui-editor-shade');
    // On a busy machine the two clicks may come too far apart to be a double click: people click again.
    await until(async () => {
      if (!(await shade.isVisible())) await this.group.locator('rect.red-ui-flow-node').dblclick();
      return form.opened(OPEN_WITHIN_MS);
    }, RUN_WITHIN_MS);
    return form;
  }

  /** Presses the button that an inject node has. */
  async press(): Promise<void> {
    await this.group.locator('.red-ui-flow-node-button-button').click();
  }

  isInvalid(): Promise<boolean> {
    return this.group.locator('.red-ui-flow-node-error').isVisible();
  }

  /** Waits for a status text, and gives the whole of it. */
  async shows(text: RegExp, withinMs: number = RUN_WITHIN_MS): Promise<string> {
    const shown = this.status.filter({ hasText: text });
    await shown.waitFor({ timeout: withinMs });
    return (await shown.textContent()) ?? '';
  }

  /** Notes every status text from now on; what it returns tells them. */
  async watchStatus(): Promise<() => Promise<string[]>> {
    const noted = await this.#page.evaluateHandle<string[]>(`(() => {
      const label = document.getElementById('${this.id}').querySelector('.red-ui-flow-node-status-label');
      const noted = [];
      const note = () => noted.push(label.textContent);
      new MutationObserver(note).observe(label, { childList: true, characterData: true, subtree: true });
      return noted;
    })()`);
    return () => noted.jsonValue();
  }

  /** Colour of the status: `green`, `red` … */
  async statusColor(): Promise<string | undefined> {
    const classes = await this.group.locator('rect.red-ui-flow-node-status').getAttribute('class');
    return /red-ui-flow-node-status-(?:dot|ring)-(\w+)/.exec(classes ?? '')?.[1];
  }
}
