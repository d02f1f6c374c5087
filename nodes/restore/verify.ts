import { z } from 'zod';
import { BackupError } from '../../lib/errors.ts';
import { type VerifyReport, verifySet } from '../../lib/restore/verify.ts';
import { type BackupMessage, type Deliver, defineNode, type NodeContext } from '../define-node.ts';
import { configNode, nodeName } from '../forms/common-fields.ts';
import { byteProgress, success } from '../status/status-text.ts';
import { chooseSet, keysOf, type SetChoice, setChoices } from './choose-set.ts';

const VERIFY_LEVELS = ['manifest', 'hash', 'content'] as const;

const first = { name: nodeName };
const rest = {
  level: z.enum(VERIFY_LEVELS).default('hash').meta({ icon: 'fa-check-square-o' }),
  key: configNode(['dbackup-key'], 'fa-key').optional(),
};

type Settings = SetChoice & {
  readonly level: (typeof VERIFY_LEVELS)[number];
  readonly key?: string | undefined;
};

/** Reads a stored backup set back and checks it against its manifest. */
export const verifyNode = defineNode({
  type: 'dbackup-verify',
  set: 'restore',
  role: 'restore',
  icon: 'dbackup-verify.svg',
  inputs: 1,
  outputs: 1,
  schemaVersion: 1,
  schema: z.discriminatedUnion('from', [
    z.object({ ...first, ...setChoices.message, ...rest }),
    z.object({ ...first, ...setChoices.latest, ...rest }),
    z.object({ ...first, ...setChoices.path, ...rest }),
  ]),
  setup: (context) => ({ onInput: (message, deliver) => verify(context, message, deliver) }),
});

async function verify(
  context: NodeContext<Settings>,
  message: BackupMessage,
  deliver: Deliver,
): Promise<void> {
  const { settings } = context;
  const signal = context.runtime.closing;
  const keys = await keysOf(context, settings.key);
  const set = await chooseSet(context, settings, message, signal);
  const onProgress = (done: number, total: number) => context.progress(byteProgress(done, total));
  const report = await verifySet({ set, level: settings.level, keys, signal, onProgress });
  const payload = plainReport(report);
  if (!report.ok) {
    // The Catch node that gets the error gets the report with it.
    message.payload = payload;
    throw verdict(report);
  }
  context.status(success(new Date(), sum(report)));
  deliver({ ...message, payload });
}

function plainReport({ set, level, ok, artifacts }: VerifyReport) {
  const files = artifacts.map(({ database, file, bytes, ok: fine, error }) => ({
    database,
    file,
    bytes,
    ok: fine,
    ...(error === undefined ? {} : { error: error.message }),
  }));
  return { set, level, ok, files };
}

function verdict({ set, artifacts }: VerifyReport): BackupError {
  const bad = artifacts.filter(({ ok }) => !ok);
  const reasons = bad.map(({ file, error }) => `${file}: ${error?.message ?? 'failed'}`).join('; ');
  return new BackupError(
    bad[0]?.error?.code ?? 'corrupt',
    `${bad.length} of ${artifacts.length} files of set ${set} did not pass: ${reasons}`,
  );
}

function sum({ artifacts }: VerifyReport): number {
  return artifacts.reduce((total, { bytes }) => total + bytes, 0);
}
