import assert from 'node:assert/strict';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { editorDescription, editorHtml } from '../../build/editor-html.ts';
import { fieldList, withFieldTables } from '../../build/help.ts';
import { nodePage } from '../../build/node-page.ts';
import {
  CATALOGUE_SETS,
  type Catalogue,
  findText,
  LANGUAGES,
  mergedCatalogue,
  ROOT,
  readCatalogue,
} from '../../build/sources.ts';
import type { AnyNode, NodeSet } from '../../nodes/define-node.ts';
import { optionKey } from '../../nodes/forms/option-key.ts';
import { formOf } from '../../nodes/forms/settings.ts';
import type { NodeSetApi } from '../../nodes/register-nodes.ts';
import { allNodes, nodeSchemas } from '../../nodes/schemas.ts';
import { FakeRed } from '../support/fake-red.ts';

const packageFile = JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8')) as {
  'node-red': { nodes: Record<string, string> };
};
const flows = readdirSync(join(ROOT, 'flows')).filter((name) => name.endsWith('.json'));

function inRoot(path: string): string {
  return readFileSync(join(ROOT, path), 'utf8');
}

/** Every key of a catalogue, with the values that its text takes. */
function texts(catalogue: Catalogue, prefix = ''): Map<string, string> {
  const found = new Map<string, string>();
  for (const [key, value] of Object.entries(catalogue)) {
    if (typeof value === 'string')
      found.set(`${prefix}${key}`, [...value.matchAll(/__(\w+)__/g)].map(String).sort().join());
    else for (const [inner, values] of texts(value, `${prefix}${key}.`)) found.set(inner, values);
  }
  return found;
}

/** Texts that the forms and status of a node ask for. */
function neededTexts(node: AnyNode): string[] {
  const fields = formOf(node.schema).fields.flatMap(({ name, control, options, cautions = [] }) => [
    `${node.type}.${name}.label`,
    `${node.type}.${name}.hint`,
    `form.kinds.${control}`,
    ...options.map((option) => optionKey(`${node.type}.${name}`, option)),
    ...cautions.map((value) => `${node.type}.${name}.cautions.${value}`),
  ]);
  const actions = (node.actions ?? []).map(({ name }) => `${node.type}.actions.${name}.label`);
  const outputs = [[], ['output'], ['outputs.1', 'outputs.2']][node.outputs] ?? [];
  const shown = ['label', ...outputs].map((key) => `${node.type}.${key}`);
  return [...shown, 'palette.label.backup', ...fields, ...actions];
}

describe('the package', () => {
  it('lists one node set for each role, as package.json names them', () => {
    const sets = Object.entries(packageFile['node-red'].nodes);
    assert.deepEqual(
      sets,
      CATALOGUE_SETS.map((set) => [`dbackup-${set}`, `dist/nodes/${set}.js`]),
    );
  });

  for (const set of CATALOGUE_SETS) {
    it(`registers in the set ${set} exactly the types that the schemas list for it`, async () => {
      const red = new FakeRed();
      const entry = (await import(`../../nodes/${set}.ts`)) as Record<string, (RED: NodeSetApi) => void>;
      assert.equal(entry.default, entry['module.exports'], 'Node-RED 4 takes module.exports');
      entry.default?.(red.api);
      const listed = allNodes.filter((node) => node.set === set).map(({ type }) => type);
      assert.deepEqual([...red.types.keys()], listed);
    });
  }

  it('has every type once, named dbackup-…', () => {
    assert.equal(Object.keys(nodeSchemas).length, allNodes.length);
    for (const { type } of allNodes) assert.match(type, /^dbackup-[a-z][a-z0-9]*(-[a-z]+)*$/);
  });

  for (const node of allNodes) {
    describe(node.type, () => {
      it('has an icon of its own in the size that Node-RED wants', () => {
        const icon = inRoot(`icons/${node.icon}`);
        assert.match(icon, /width="40" height="60" viewBox="0 0 40 60"/);
        assert.doesNotMatch(icon, /(fill|stroke)="(?!none|#fff|#000)/, 'white on transparent');
      });

      it('has help in every language, with the list of its fields', () => {
        for (const language of LANGUAGES) {
          const help = inRoot(`locales/${language}/${node.set}.html`);
          assert.ok(help.includes(`data-help-name="${node.type}"`), language);
          const catalogue = mergedCatalogue(language, node.set);
          const inSet = allNodes.filter(({ set }) => set === node.set);
          assert.ok(withFieldTables(help, inSet, catalogue).includes(fieldList(node, catalogue)), language);
        }
      });

      it('has every text that its form asks for, in every language', () => {
        for (const language of LANGUAGES) {
          const catalogue = mergedCatalogue(language, node.set);
          const missing = neededTexts(node).filter((key) => findText(catalogue, key) === undefined);
          assert.deepEqual(missing, [], language);
        }
      });

      it('is part of a flow template', () => {
        const used = flows.some((name) => inRoot(`flows/${name}`).includes(`"type": "${node.type}"`));
        assert.ok(used);
      });

      it('has an up-to-date page in docs/nodes', () => {
        const page = `docs/nodes/${node.type}.md`;
        assert.ok(existsSync(join(ROOT, page)), `${page} is missing: run npm run build`);
        assert.equal(inRoot(page), nodePage(node), `${page} is out of date: run npm run build`);
      });

      it('has a form with an input for every field', () => {
        const html = editorHtml([node]);
        const prefix = node.role === 'config' ? 'node-config-input' : 'node-input';
        for (const { name, control } of formOf(node.schema).fields) {
          const places = { list: `data-list="${name}"`, choices: `data-choices="${name}"` };
          const place =
            control === 'list' || control === 'choices' ? places[control] : `id="${prefix}-${name}"`;
          assert.ok(html.includes(place), place);
        }
        assert.ok(html.includes(`data-template-name="${node.type}"`));
      });

      it('describes itself to the editor in plain JSON', () => {
        const description = editorDescription(node);
        assert.deepEqual(JSON.parse(JSON.stringify(description)), description);
      });
    });
  }
});

describe('the message catalogues', () => {
  const names: readonly (NodeSet | 'common')[] = ['common', ...CATALOGUE_SETS];
  for (const name of names) {
    it(`have the same texts with the same values in every language: ${name}`, () => {
      const [first, ...others] = LANGUAGES.map((language) => texts(readCatalogue(language, name)));
      for (const other of others) assert.deepEqual(other, first);
    });
  }

  it('hold no text twice: a set does not repeat what all sets share', () => {
    const shared = texts(readCatalogue('en-US', 'common'));
    for (const set of CATALOGUE_SETS) {
      const repeated = [...texts(readCatalogue('en-US', set)).keys()].filter((key) => shared.has(key));
      assert.deepEqual(repeated, [], set);
    }
  });
});
