import assert from 'node:assert/strict';
import type { Locator } from 'playwright-core';

/** WCAG 2 level AA asks for this of text in usual sizes. */
const ENOUGH_CONTRAST = 4.5;

/** What is read of an element in the page. */
interface PageElement {
  readonly textContent: string | null;
  readonly tagName: string;
  readonly parentElement: PageElement | null;
  readonly scrollWidth: number;
  readonly clientWidth: number;
  checkVisibility(): boolean;
}

declare const getComputedStyle: (element: PageElement) => {
  readonly color: string;
  readonly backgroundColor: string;
  readonly display: string;
};

interface ShownText {
  readonly text: string;
  readonly color: string;
  /** Of the element and those around it, from the inside to the outside. */
  readonly backgrounds: readonly string[];
  readonly isCut: boolean;
}

/**
 * Every text that these elements show stands out from what is behind it, and none is cut off.
 * @throws AssertionError naming the text
 */
export async function assertLegible(elements: Locator): Promise<void> {
  const shown = await elements.evaluateAll((all: PageElement[]) =>
    all
      .filter((element) => element.checkVisibility())
      .map((element) => {
        const backgrounds = [];
        for (let around: PageElement | null = element; around !== null; around = around.parentElement) {
          backgrounds.push(getComputedStyle(around).backgroundColor);
        }
        const { color, display } = getComputedStyle(element);
        // Inline elements have no width of their own; those of inputs scroll.
        const hasWidth = display !== 'inline' && element.tagName !== 'INPUT';
        const isCut = hasWidth && element.scrollWidth > element.clientWidth + 1;
        return { text: element.textContent ?? '', color, backgrounds, isCut };
      }),
  );
  assert.ok(shown.length > 0, 'There is nothing to read');
  for (const text of shown) assertReadable(text);
}

function assertReadable({ text, color, backgrounds, isCut }: ShownText): void {
  assert.equal(isCut, false, `This is cut off: ${text}`);
  const behind = backgrounds.map(parseColor).find(([, , , alpha]) => alpha === 1) ?? WHITE;
  const contrast = contrastOf(parseColor(color), behind);
  assert.ok(contrast >= ENOUGH_CONTRAST, `${contrast.toFixed(1)} is too little contrast: ${text}`);
}

type Color = readonly [red: number, green: number, blue: number, alpha: number];

const WHITE: Color = [255, 255, 255, 1];

/** Reads `rgb(1, 2, 3)` and `rgba(1, 2, 3, 0.5)`, as computed styles hold colours. */
function parseColor(text: string): Color {
  const [red = 0, green = 0, blue = 0, alpha = 1] = (text.match(/[\d.]+/g) ?? []).map(Number);
  return [red, green, blue, alpha];
}

/** The contrast ratio of WCAG 2, from 1 to 21. */
function contrastOf(one: Color, other: Color): number {
  const [darker = 0, lighter = 0] = [luminance(one), luminance(other)].sort((a, b) => a - b);
  return (lighter + 0.05) / (darker + 0.05);
}

/** The relative luminance of WCAG 2. */
function luminance([red, green, blue]: Color): number {
  const [r = 0, g = 0, b = 0] = [red, green, blue].map((value) => {
    const part = value / 255;
    return part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4;
  });
  return 0.2126 * r + 0.7152 * g + 0.0722 * b;
}
