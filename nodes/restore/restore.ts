import { z } from 'zod';
import { chooseArtifact } from '../../lib/restore/choose-artifact.ts';
import { restoreArtifact } from '../../lib/restore/restore.ts';
import { openRestoreTarget } from '../../lib/restore/targets.ts';
import { type BackupMessage, type Deliver, defineNode, type NodeContext } from '../define-node.ts';
import { configNode, nodeName } from '../forms/common-fields.ts';
import { byteProgress, success } from '../status/status-text.ts';
import { chooseSet, keysOf, setChoices } from './choose-set.ts';
import { restoreOptions, restoreServer, serverRestoreOptions } from './restore-options.ts';

const first = { name: nodeName };
const rest = {
  ...restoreOptions,
  key: configNode(['dbackup-key'], 'fa-key').optional(),
  ...serverRestoreOptions,
};

const schema = z.discriminatedUnion('from', [
  z.object({ ...first, ...setChoices.message, ...rest }),
  z.object({ ...first, ...setChoices.latest, ...rest }),
  z.object({ ...first, ...setChoices.path, ...rest }),
]);

/** Puts one database of a backup set back. */
export const restoreNode = defineNode({
  type: 'dbackup-restore',
  set: 'restore',
  role: 'restore',
  icon: 'dbackup-restore.svg',
  inputs: 1,
  outputs: 1,
  schemaVersion: 1,
  schema,
  setup: (context) => ({ onInput: (message, deliver) => restore(context, message, deliver) }),
});

async function restore(
  context: NodeContext<z.output<typeof schema>>,
  message: BackupMessage,
  deliver: Deliver,
): Promise<void> {
  const { settings } = context;
  const signal = context.runtime.closing;
  const server = restoreServer(context, settings.server);
  const keys = await keysOf(context, settings.key);
  const set = await chooseSet(context, settings, message, signal);
  const artifact = chooseArtifact(set, settings.database);
  const onBytes = (bytes: number) => context.progress(byteProgress(bytes, artifact.raw.bytes));
  const { target: to, overwrite, safetyCopy: keep } = settings;
  const { content, tables, owners, privileges, jobs, spoolDirectory } = settings;
  const target = openRestoreTarget(artifact, {
    to,
    server,
    overwrite,
    safetyCopy: keep,
    content,
    tables,
    owners,
    privileges,
    jobs,
    spoolDirectory,
  });
  const report = await restoreArtifact({ set, artifact, target, keys, signal, onBytes });
  context.status(success(new Date(), artifact.raw.bytes));
  const { target: place, safetyCopy, proof } = report;
  const payload = {
    set: set.path,
    database: artifact.database,
    bytes: artifact.raw.bytes,
    target: place,
    proof: proof.statement,
    warnings: [...proof.warnings],
    ...(safetyCopy === undefined ? {} : { safetyCopy }),
  };
  deliver({ ...message, payload });
}
