import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import {
  type Catalogue,
  findText,
  LANGUAGES,
  type Language,
  mergedCatalogue,
  ROOT,
  readCatalogue,
} from '../../build/sources.ts';
import type { AnyNode } from '../../nodes/define-node.ts';
import type { FormField } from '../../nodes/forms/form-description.ts';
import { optionKey } from '../../nodes/forms/option-key.ts';
import { formOf } from '../../nodes/forms/settings.ts';
import { allNodes } from '../../nodes/schemas.ts';
import { Editor } from '../support/editor/editor.ts';
import { type FieldTexts, shownFields } from '../support/editor/field-texts.ts';
import { assertLegible } from '../support/editor/legibility.ts';
import type { NodeForm } from '../support/editor/node-form.ts';
import { sampleFlow } from '../support/editor/sample-flow.ts';
import { withSampleForm } from '../support/editor/sample-form.ts';
import { editorSuite } from '../support/editor/suite.ts';

/** Everything that our forms say; what buttons look like is Node-RED's. */
const TEXTS =
  '.dbackup-form :is(label, select, input, summary, .dbackup-hint, .dbackup-caution, .dbackup-unit, .dbackup-result > *)';
/** Each language in a theme of its own, so that both themes are looked at. */
const THEMES = { 'en-US': 'light', de: 'dark' } as const;
/** What stands in place of a text whose key is in no catalogue. */
const RAW_KEY = /\b(dbackup-[a-z0-9-]+|form|problem|status|palette)\.[a-z]\w*/;

const inPalette = allNodes.filter(({ role }) => role !== 'config');

describe('The texts of the nodes in the editor', function () {
  this.timeout(240_000);
  const suite = editorSuite(() => ({ flow: sampleFlow() }));

  for (const language of LANGUAGES) {
    const theme = THEMES[language];
    describe(`in ${language}, in the ${theme} theme`, () => {
      let editor: Editor;
      before(async () => {
        editor = await Editor.open(suite.browser, suite.server.url, { language, theme });
      });
      after(() => editor?.close());
      afterEach(() => assert.deepEqual(editor.problems, []));

      it('name the group of the palette and the nodes in it', async () => {
        const labels = inPalette.map(({ type, set }) =>
          findText(mergedCatalogue(language, set), `${type}.label`),
        );
        // The palette breaks long ones into lines.
        const squeezed = (label = '') => label.replaceAll(/\s/g, '');
        assert.deepEqual((await editor.paletteLabels('backup')).map(squeezed), labels.map(squeezed));
        const title = await editor.page.locator('#red-ui-palette-header-backup').innerText();
        assert.equal(title.trim(), findText(readCatalogue(language, 'common'), 'palette.label.backup'));
      });

      for (const node of allNodes) {
        it(`label and explain every field of ${node.type}, legibly, and help with it`, async () => {
          await withSampleForm(editor, node, async (form) => {
            await assertTexts(form, node, language);
            for (const { name } of node.actions ?? []) await form.ask(name);
            await assertLegible(form.tray.locator(TEXTS));
            if (node.role === 'config') return;
            await form.showHelp();
            await assertHelp(editor, node, language);
          });
        });
      }
    });
  }
});

/** Every variant of the form shows the texts of the catalogue, and no raw keys. */
async function assertTexts(form: NodeForm, node: AnyNode, language: Language): Promise<void> {
  const catalogue = mergedCatalogue(language, node.set);
  const { discriminator, fields } = formOf(node.schema);
  if (fields.some(({ section }) => section === 'advanced')) await form.unfold();
  const chooser = fields.find(({ name }) => name === discriminator);
  for (const variant of chooser?.options ?? [undefined]) {
    if (variant !== undefined && chooser !== undefined) await form.choose(chooser.name, variant);
    const shown = await shownFields(form);
    for (const field of fields) {
      const key = `${node.type}.${field.name}`;
      const isExpected = field.cases.some(({ when }) => when === undefined || when === variant);
      const texts = shown.get(field.name);
      assert.equal(texts !== undefined, isExpected, `${variant}: ${field.name}`);
      if (texts === undefined) continue;
      assert.ok(texts.label, `${key} has no label`);
      // A config node's select offers nodes, which are no texts of ours.
      const options = field.options.length > 0 ? texts.options : [];
      assert.deepEqual({ ...texts, options }, fieldTexts(key, field, catalogue));
      if (field.cautions !== undefined) await assertCautions(form, key, field, catalogue);
    }
    assert.doesNotMatch(await form.tray.innerText(), RAW_KEY);
  }
  for (const { name } of node.actions ?? []) {
    const label = await form.tray.locator(`[data-action="${name}"] .dbackup-control button`).innerText();
    assert.equal(label.trim(), findText(catalogue, `${node.type}.actions.${name}.label`));
  }
}

/** What the catalogue says of a field. */
function fieldTexts(key: string, { name, options, unit }: FormField, catalogue: Catalogue): FieldTexts {
  return {
    label: findText(catalogue, `${key}.label`),
    // What a name is needs no words.
    hint: name === 'name' ? undefined : findText(catalogue, `${key}.hint`),
    unit: unit === undefined ? undefined : (findText(catalogue, `form.units.${unit}`) ?? unit),
    options: options.map((option) => findText(catalogue, optionKey(key, option))),
  };
}

/** A value that the form warns of shows its warning, and only then. */
async function assertCautions(
  form: NodeForm,
  key: string,
  { name, control, cautions = [] }: FormField,
  catalogue: Catalogue,
): Promise<void> {
  const input = form.input(name);
  const isBox = control === 'checkbox';
  const value = async () => (isBox ? String(await input.isChecked()) : input.inputValue());
  const set = (to: string) => (isBox ? form.check(name, to === 'true') : form.choose(name, to));
  const shown = form.row(name).locator('.dbackup-caution:visible');
  const first = await value();
  for (const caution of new Set([first, ...cautions])) {
    if (caution !== first) await set(caution);
    const expected = cautions.includes(caution) ? [findText(catalogue, `${key}.cautions.${caution}`)] : [];
    assert.deepEqual(
      (await shown.allInnerTexts()).map((text) => text.trim()),
      expected,
    );
    if (expected.length > 0) await assertLegible(shown);
  }
  if ((await value()) !== first) await set(first);
}

/** The help is the one of that language, with a table of all settings. */
async function assertHelp(editor: Editor, { type, set, schema }: AnyNode, language: Language): Promise<void> {
  const first = firstParagraph(type, readFileSync(join(ROOT, `locales/${language}/${set}.html`), 'utf8'));
  const { help } = editor.sidebar;
  await help.getByText(first).waitFor();
  const shown = await help.innerText();
  const catalogue = mergedCatalogue(language, set);
  for (const { name } of formOf(schema).fields) {
    const label = findText(catalogue, `${type}.${name}.label`);
    assert.ok(label !== undefined && shown.includes(label), `${name} is missing in: ${shown}`);
  }
  assert.doesNotMatch(shown, RAW_KEY);
}

function firstParagraph(type: string, help: string): string {
  const [, own = ''] = help.split(`data-help-name="${type}">`);
  const text = /<p>(.*?)<\/p>/s.exec(own)?.[1];
  assert.ok(text, `There is no help for ${type}`);
  return text.replaceAll(/<[^>]+>/g, '').replaceAll(/\s+/g, ' ');
}
