import { z } from 'zod';
import { findArtifact } from '../../lib/backupset/reader.ts';
import { restoreArtifact } from '../../lib/restore/restore.ts';
import { openRestoreTarget } from '../../lib/restore/targets.ts';
import { type BackupMessage, type Deliver, defineNode, type NodeContext } from '../define-node.ts';
import { configNode, nodeName } from '../forms/common-fields.ts';
import { byteProgress, success } from '../status/status-text.ts';
import { chooseSet, keysOf, type SetChoice, setChoices } from './choose-set.ts';

const first = { name: nodeName };
const rest = {
  database: z.string().min(1).optional().meta({ icon: 'fa-database', placeholder: 'shop' }),
  target: z
    .string()
    .min(1)
    .meta({ icon: 'fa-bullseye', control: 'path', placeholder: '/var/lib/shop/shop.sqlite' }),
  overwrite: z.enum(['refuse', 'replace']).default('refuse').meta({ icon: 'fa-exchange' }),
  safetyCopy: z.boolean().default(true).meta({ icon: 'fa-life-ring' }),
  key: configNode(['dbackup-key'], 'fa-key').optional(),
};

type Settings = SetChoice & {
  readonly database?: string | undefined;
  readonly target: string;
  readonly overwrite: 'refuse' | 'replace';
  readonly safetyCopy: boolean;
  readonly key?: string | undefined;
};

/** Puts one database of a backup set back. */
export const restoreNode = defineNode({
  type: 'dbackup-restore',
  set: 'restore',
  role: 'restore',
  icon: 'dbackup-restore.svg',
  inputs: 1,
  outputs: 1,
  schemaVersion: 1,
  schema: z.discriminatedUnion('from', [
    z.object({ ...first, ...setChoices.message, ...rest }),
    z.object({ ...first, ...setChoices.latest, ...rest }),
    z.object({ ...first, ...setChoices.path, ...rest }),
  ]),
  setup: (context) => ({ onInput: (message, deliver) => restore(context, message, deliver) }),
});

async function restore(
  context: NodeContext<Settings>,
  message: BackupMessage,
  deliver: Deliver,
): Promise<void> {
  const { settings } = context;
  const signal = context.runtime.closing;
  const keys = await keysOf(context, settings.key);
  const set = await chooseSet(context, settings, message, signal);
  const artifact = findArtifact(set, settings.database);
  const onBytes = (bytes: number) => context.progress(byteProgress(bytes, artifact.raw.bytes));
  const { target: to, overwrite, safetyCopy: keep } = settings;
  const target = openRestoreTarget(artifact, { to, overwrite, safetyCopy: keep });
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
