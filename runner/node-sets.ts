import { readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import type { FlowEntry } from './runtime.ts';

export interface NodeSets {
  /** Names of core node files and of package folders, as Node-RED's setting `nodesIncludes` wants them. */
  readonly includes: readonly string[];
  /** Types that nothing installed provides. */
  readonly unknownTypes: readonly string[];
}

/** The node types a flow needs, each once. Tabs, subflows, their instances and groups are not node types. */
export function nodeTypesOf(flows: readonly FlowEntry[]): string[] {
  const types = flows.map((entry) => entry.type);
  return [...new Set(types)].filter((type) => !/^(tab|group|subflow)$|^subflow:/.test(type));
}

/**
 * Finds the node files and packages that provide the given types, so that nothing else is loaded: start-up
 * takes a quarter of the time. Looks into Node-RED's core nodes, the given package, and the node packages
 * installed in the user directory and beside Node-RED.
 */
export function findNodeSets(
  types: readonly string[],
  places: { readonly coreNodesDir: string; readonly packageDir: string; readonly userDir: string },
): NodeSets {
  const missing = new Set(types);
  const includes = new Set([path.basename(places.packageDir)]);
  take(missing, typesOfPackage(places.packageDir));
  for (const file of coreNodeFiles(places.coreNodesDir)) {
    if (take(missing, registeredTypes(file))) includes.add(path.basename(file));
  }
  if (missing.size > 0) {
    for (const dir of installedPackages(places)) {
      if (take(missing, typesOfPackage(dir))) includes.add(path.basename(dir));
      if (missing.size === 0) break;
    }
  }
  return { includes: [...includes], unknownTypes: [...missing] };
}

/** Removes the provided types from the missing ones; true when there were any. */
function take(missing: Set<string>, provided: readonly string[]): boolean {
  return provided.filter((type) => missing.delete(type)).length > 0;
}

function coreNodeFiles(coreNodesDir: string): string[] {
  const core = path.join(coreNodesDir, 'core');
  return readdirSync(core, { withFileTypes: true })
    .filter((entry) => entry.isDirectory())
    .flatMap((group) =>
      readdirSync(path.join(core, group.name)).map((name) => path.join(core, group.name, name)),
    )
    .filter((file) => file.endsWith('.js'));
}

function* installedPackages(places: {
  readonly coreNodesDir: string;
  readonly userDir: string;
}): Generator<string> {
  yield* packagesIn(path.join(places.userDir, 'node_modules'));
  for (let dir = places.coreNodesDir; path.dirname(dir) !== dir; dir = path.dirname(dir)) {
    yield* packagesIn(path.join(dir, 'node_modules'));
  }
}

function* packagesIn(modulesDir: string): Generator<string> {
  for (const name of listed(modulesDir)) {
    const dir = path.join(modulesDir, name);
    if (name.startsWith('@')) yield* packagesIn(dir);
    else if (!name.startsWith('.')) yield dir;
  }
}

/** The types a node package offers: what its sets register and what their forms are for. */
function typesOfPackage(dir: string): string[] {
  const manifest: unknown = parsed(read(path.join(dir, 'package.json')));
  const sets = property(property(manifest, 'node-red'), 'nodes');
  if (typeof sets !== 'object' || sets === null) return [];
  return Object.values(sets)
    .filter((file) => typeof file === 'string')
    .map((file) => path.join(dir, file))
    .flatMap((file) => [...registeredTypes(file), ...templateTypes(file.replace(/\.c?js$/, '.html'))]);
}

function registeredTypes(file: string): string[] {
  return [...read(file).matchAll(/registerType\(\s*["'`]([^"'`]+)["'`]/g)].flatMap((match) => match[1] ?? []);
}

function templateTypes(file: string): string[] {
  return [...read(file).matchAll(/data-template-name\s*=\s*["']([^"']+)["']/g)].flatMap(
    (match) => match[1] ?? [],
  );
}

function listed(dir: string): string[] {
  try {
    return readdirSync(dir);
  } catch {
    return [];
  }
}

function read(file: string): string {
  try {
    return readFileSync(file, 'utf8');
  } catch {
    return '';
  }
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

function property(value: unknown, name: string): unknown {
  return typeof value === 'object' && value !== null ? Reflect.get(value, name) : undefined;
}
