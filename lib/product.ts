import { createRequire } from 'node:module';
import { z } from 'zod';

const packageFile = z.object({ name: z.string(), version: z.string() });

/** Name and version of this package, for manifests and `--version`. */
export const PRODUCT = packageFile.parse(readPackage());

function readPackage(): unknown {
  const require = createRequire(import.meta.url);
  // Compiled files lie one folder deeper (dist/lib) than their sources (lib).
  for (const path of ['../package.json', '../../package.json']) {
    try {
      return require(path);
    } catch {
      // The other place has it.
    }
  }
  throw new Error('package.json of @dbackup/node-red was not found: reinstall the package');
}
