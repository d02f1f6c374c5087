import type { VerifyLevel } from '../../lib/backupset/annotation-format.ts';
import { isStored } from '../../lib/backupset/manifest.ts';
import { EMPTY_KEY_RING } from '../../lib/keys/keys.ts';
import { type VerifyReport, verifySet } from '../../lib/restore/verify.ts';
import { formatBytes } from '../../nodes/status/quantities.ts';
import type { CommandBody } from '../command.ts';
import { EXIT, type ExitCode } from '../exit-codes.ts';
import { printable } from '../format.ts';
import { type KeyOptions, keyRing } from '../key-options.ts';
import { errorJson } from '../output.ts';
import { createMeter } from '../report/meter.ts';
import { openPlace, type StorageOptions } from '../storage-options.ts';
import { findSet } from '../stored-sets.ts';

export interface VerifyInput extends StorageOptions, KeyOptions {
  readonly set: string;
  readonly job?: string;
  readonly level: VerifyLevel;
  readonly json?: boolean;
}

/** Checks a set. A partial set whose stored files hold is reported as partial, not as ok. */
export const verify: CommandBody<VerifyInput> = async (input, context) => {
  const { output, signal, env } = context;
  const place = await openPlace(input, env);
  const set = await findSet(place, { set: input.set, job: input.job, signal });
  const keys = input.level === 'content' ? await keyRing(input, env) : EMPTY_KEY_RING;
  const meter = await createMeter('verifying');
  const report = await verifySet({ set, level: input.level, keys, signal, onProgress: meter.update }).finally(
    meter.stop,
  );
  const missing = set.manifest.artifacts.filter((artifact) => !isStored(artifact));
  if (input.json) output.json({ ...reportJson(report), status: set.manifest.status });
  else output.print(reportText(report));
  for (const artifact of missing) {
    output.note(printable(`${artifact.database}: not in this set, its dump failed`));
  }
  return exitCodeFor(report, missing.length);
};

function exitCodeFor(report: VerifyReport, missing: number): ExitCode {
  if (!report.ok) return EXIT.failed;
  return missing > 0 ? EXIT.partial : EXIT.ok;
}

function reportText(report: VerifyReport): string {
  const lines = report.artifacts.map(({ file, ok, bytes, error }) =>
    ok ? `ok      ${file} (${formatBytes(bytes)})` : `FAILED  ${file}: ${error?.message}`,
  );
  const failed = report.artifacts.filter(({ ok }) => !ok).length;
  const verdict = report.ok
    ? `${report.set} holds (level ${report.level})`
    : `${report.set}: ${failed} of ${report.artifacts.length} files failed (level ${report.level})`;
  return [...lines, verdict].map(printable).join('\n');
}

function reportJson(report: VerifyReport) {
  return {
    ...report,
    artifacts: report.artifacts.map(({ error, ...artifact }) => ({
      ...artifact,
      ...(error === undefined ? {} : { error: errorJson(error) }),
    })),
  };
}
