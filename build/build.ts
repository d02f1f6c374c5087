import { spawnSync } from 'node:child_process';
import { chmodSync, cpSync, existsSync, mkdirSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { allNodes } from '../nodes/schemas.ts';
import { editorHtml } from './editor-html.ts';
import { withFieldTables } from './help.ts';
import { nodePage } from './node-page.ts';
import { CATALOGUE_SETS, LANGUAGES, mergedCatalogue, ROOT, readHelp } from './sources.ts';

/** Builds the package: `dist/`, `resources/` and `examples/`, and the pages of the nodes in `docs/nodes/`. */
function build(): void {
  for (const generated of ['dist', 'resources', 'examples'])
    rmSync(join(ROOT, generated), { recursive: true, force: true });
  compile('tsconfig.build.json');
  compile('nodes/editor/tsconfig.json');
  writeForms();
  copyAssets();
  writePages();
}

function compile(project: string): void {
  const tsc = join(ROOT, 'node_modules/typescript/bin/tsc');
  const { status } = spawnSync(process.execPath, [tsc, '-p', join(ROOT, project)], { stdio: 'inherit' });
  if (status !== 0) {
    console.error(`${project} does not compile`);
    process.exit(1);
  }
}

/** The forms and texts of each node set, beside its compiled entry file, where Node-RED looks for them. */
function writeForms(): void {
  for (const set of CATALOGUE_SETS) {
    const nodes = allNodes.filter((node) => node.set === set);
    write(`dist/nodes/${set}.html`, editorHtml(nodes));
    for (const language of LANGUAGES) {
      const catalogue = mergedCatalogue(language, set);
      write(`dist/nodes/locales/${language}/${set}.json`, `${JSON.stringify(catalogue, undefined, 2)}\n`);
      const help = readHelp(language, set);
      write(`dist/nodes/locales/${language}/${set}.html`, withFieldTables(help, nodes, catalogue));
    }
  }
}

function copyAssets(): void {
  cpSync(join(ROOT, 'icons'), join(ROOT, 'dist/nodes/icons'), { recursive: true });
  cpSync(join(ROOT, 'nodes/editor/form.css'), join(ROOT, 'resources/editor/form.css'));
  cpSync(join(ROOT, 'flows'), join(ROOT, 'examples'), { recursive: true });
  const recovery = 'lib/keys/recovery';
  for (const file of readdirSync(join(ROOT, recovery)).filter((name) => name.endsWith('.mjs'))) {
    cpSync(join(ROOT, recovery, file), join(ROOT, 'dist', recovery, file));
  }
  const runner = join(ROOT, 'dist/runner/main.js');
  if (existsSync(runner)) chmodSync(runner, 0o755);
}

function writePages(): void {
  for (const node of allNodes) write(`docs/nodes/${node.type}.md`, nodePage(node));
}

function write(path: string, text: string): void {
  const file = join(ROOT, path);
  mkdirSync(dirname(file), { recursive: true });
  writeFileSync(file, text);
}

build();
