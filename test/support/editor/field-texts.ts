import type { NodeForm } from './node-form.ts';

/** What a form says of a field; `undefined` where it says nothing. */
export interface FieldTexts {
  readonly label: string | undefined;
  readonly hint: string | undefined;
  readonly unit: string | undefined;
  /** Of a choice, in the order that the form offers them. */
  readonly options: readonly (string | undefined)[];
}

/** What is used of an element in the page. */
interface PageElement {
  readonly textContent: string | null;
  readonly dataset: { readonly field?: string };
  checkVisibility(): boolean;
  querySelectorAll(selector: string): Iterable<PageElement>;
}

/** The fields of a form that are in sight, read all at once: asking the browser field by field takes minutes. */
export async function shownFields(form: NodeForm): Promise<ReadonlyMap<string, FieldTexts>> {
  const rows = form.tray.locator('.dbackup-row[data-field]');
  const shown = await rows.evaluateAll((all: readonly PageElement[]) =>
    all
      .filter((row) => row.checkVisibility())
      .map((row) => {
        const text = (selector: string) => {
          const found = [...row.querySelectorAll(selector)].find((element) => element.checkVisibility());
          return found?.textContent?.trim();
        };
        const options = [...row.querySelectorAll('.dbackup-choices label, .dbackup-control > select option')];
        return {
          field: row.dataset.field ?? '',
          label: text(':scope > label'),
          hint: text('.dbackup-hint'),
          unit: text('.dbackup-unit'),
          options: options.map((option) => option.textContent?.trim()),
        };
      }),
  );
  return new Map(shown.map(({ field, ...texts }) => [field, texts]));
}
