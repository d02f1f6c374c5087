import { BackupError } from '../lib/errors.ts';
import type { KeyRing } from '../lib/keys/keys.ts';
import { enabledNodes } from '../lib/plan/flow-file.ts';
import { KEY } from '../nodes/services.ts';
import { dataDirectory, type FlowOptions, readFlow } from './flow-input.ts';
import { FlowServices } from './flow-services.ts';

/**
 * What the key nodes of a flow file can open. A key node that has no secret here opens nothing.
 * @throws BackupError for a flow or credentials file that cannot be read
 */
export async function flowKeyRings(
  file: string,
  options: FlowOptions,
  env: Readonly<Record<string, string | undefined>>,
): Promise<KeyRing[]> {
  const flow = await readFlow(file, options, env);
  const services = new FlowServices(flow, dataDirectory(options, env), env);
  const rings: KeyRing[] = [];
  for (const node of enabledNodes(flow.nodes)) {
    try {
      const ring = await services.find(KEY, node)?.keyRing();
      if (ring !== undefined) rings.push(ring);
    } catch (thrown) {
      if (!(thrown instanceof BackupError)) throw thrown;
    }
  }
  return rings;
}
