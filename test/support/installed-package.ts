import { execFile } from 'node:child_process';
import { writeFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import path from 'node:path';
import { promisify } from 'node:util';

const ROOT = path.join(import.meta.dirname, '../..');
const run = promisify(execFile);

/**
 * Packs this package as it would be published and installs it with npm into an empty folder, beside the given
 * packages. `dist/` must have been built.
 */
export async function installPacked(folder: string, beside: readonly string[]): Promise<void> {
  const tarball = await npm(ROOT, 'pack', '--ignore-scripts', '--json', '--pack-destination', folder);
  await writeFile(path.join(folder, 'package.json'), JSON.stringify({ name: 'fresh', private: true }));
  const [packed] = Object.values(JSON.parse(tarball)) as { filename: string }[];
  if (packed === undefined) throw new Error('npm pack did not say what it packed');
  const file = path.join(folder, path.basename(packed.filename));
  await npm(folder, 'install', '--no-audit', '--no-fund', '--prefer-offline', file, ...beside);
}

async function npm(cwd: string, ...args: string[]): Promise<string> {
  const manifest = createRequire(import.meta.url).resolve('npm/package.json');
  const cli = path.join(path.dirname(manifest), 'bin/npm-cli.js');
  const { stdout } = await run(process.execPath, [cli, ...args], { cwd, timeout: 300_000 });
  return stdout;
}
