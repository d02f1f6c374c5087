import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';

/*
 * `npm run check-package`: looks into the tarball that would be published, after a build, and fails when
 * something is missing that Node-RED's loader or a person needs, or when something is in it that is ours
 * alone.
 */

const ROOT = join(import.meta.dirname, '..');
const LANGUAGES = ['en-US', 'de'];
/** Larger than this, something is in it that does not belong there, in bytes. */
const MAX_UNPACKED_BYTES = 8 * 1024 * 1024;
/** Node-RED's scorecard asks for no more. */
const MAX_DEPENDENCIES = 6;

interface PackedFile {
  readonly path: string;
  readonly size: number;
}

const manifest = JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8')) as {
  bin: Record<string, string>;
  dependencies: Record<string, string>;
  'node-red': { nodes: Record<string, string>; plugins?: Record<string, string> };
};
const files = packedFiles();
const paths = new Set(files.map(({ path }) => path));
const problems = [...missing(), ...unwanted(), ...wrong()];
for (const problem of problems) console.error(`The package is wrong: ${problem}`);
if (problems.length > 0) process.exit(1);
console.log(`The package holds ${paths.size} files, ${(totalBytes() / 1e6).toFixed(1)} MB unpacked.`);

function packedFiles(): PackedFile[] {
  const text = execFileSync('npm', ['pack', '--dry-run', '--json', '--ignore-scripts'], {
    cwd: ROOT,
    encoding: 'utf8',
    stdio: ['ignore', 'pipe', 'inherit'],
    maxBuffer: 64 * 1024 * 1024,
  });
  const [pack] = Object.values(JSON.parse(text) as Record<string, { files: PackedFile[] }>);
  if (pack === undefined) throw new Error('npm pack did not say what it packs');
  return pack.files;
}

function missing(): string[] {
  const { nodes, plugins = {} } = manifest['node-red'];
  const entries = [...Object.values(nodes), ...Object.values(plugins)];
  const pages = Object.values(nodes).flatMap((entry) => {
    const set = entry.replace(/^dist\/nodes\//, '').replace(/\.js$/, '');
    return [
      `dist/nodes/${set}.html`,
      ...LANGUAGES.flatMap((language) =>
        ['json', 'html'].map((extension) => `dist/nodes/locales/${language}/${set}.${extension}`),
      ),
    ];
  });
  const needed = [
    'README.md',
    'LICENSE',
    'CHANGELOG.md',
    'package.json',
    ...Object.values(manifest.bin),
    ...entries,
    ...pages,
  ];
  const kinds: [string, RegExp][] = [
    ['an icon in dist/nodes/icons', /^dist\/nodes\/icons\/.+\.svg$/],
    ['an example flow', /^examples\/.+\.json$/],
    ['the editor resources', /^resources\/.+/],
    ['the recovery kit', /^dist\/lib\/keys\/recovery\/.+\.mjs$/],
    ['the format documentation', /^docs\/.+\.md$/],
  ];
  return [
    ...needed.filter((path) => !paths.has(path)).map((path) => `${path} is missing`),
    ...kinds
      .filter(([, pattern]) => !files.some(({ path }) => pattern.test(path)))
      .map(([what]) => `${what} is missing`),
  ];
}

function unwanted(): string[] {
  const ours =
    /^(test|lib|nodes|runner|build|demo|locales|icons|\.ci|\.github|node_modules)\/|\.(ts|map|tgz|tsbuildinfo)$|^\.(?!npmignore)/;
  return [...paths].filter((path) => ours.test(path)).map((path) => `${path} does not belong in it`);
}

function wrong(): string[] {
  const found: string[] = [];
  for (const [name, path] of Object.entries(manifest.bin)) {
    if (paths.has(path) && !readFileSync(join(ROOT, path), 'utf8').startsWith('#!/usr/bin/env node\n')) {
      found.push(`${path}, the command ${name}, does not begin with #!/usr/bin/env node`);
    }
  }
  const dependencies = Object.keys(manifest.dependencies).length;
  if (dependencies > MAX_DEPENDENCIES)
    found.push(`${dependencies} dependencies, more than ${MAX_DEPENDENCIES}`);
  if (totalBytes() > MAX_UNPACKED_BYTES)
    found.push(`${totalBytes()} bytes unpacked, more than ${MAX_UNPACKED_BYTES}`);
  return found;
}

function totalBytes(): number {
  return files.reduce((sum, { size }) => sum + size, 0);
}
