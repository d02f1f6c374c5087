import { execFileSync } from 'node:child_process';
import { mkdir, rm } from 'node:fs/promises';
import { availableParallelism } from 'node:os';
import { join } from 'node:path';
import { type BenchCase, CASES, type CaseId } from './cases.ts';
import { compileChildren } from './compile.ts';
import { type Measurement, measure } from './measure.ts';
import { type BenchOptions, readOptions, USAGE } from './options.ts';
import { targetsTable, timesTable } from './report.ts';
import { prepareWorkspace, type Workspace } from './workspace.ts';

/* `npm run bench`: see USAGE. Exits with 1 when a figure to reach is missed. */

const options = readOptions(process.argv.slice(2));
if (options === 'help') console.log(USAGE);
else await bench(options);

async function bench({ size, runs, folder, only }: BenchOptions): Promise<void> {
  const chosen = (Object.keys(CASES) as CaseId[]).filter((id) => {
    const isNamed = id.toLowerCase().includes(only.toLowerCase());
    return isNamed && (only !== '' || (CASES[id] as BenchCase).slow !== true);
  });
  console.log(
    `${(size / 1e6).toFixed(0)} MB, ${runs} interleaved runs of ${chosen.length} cases, ${availableParallelism()} cores, Node ${process.versions.node}`,
  );
  compileChildren();
  const workspace = await prepareWorkspace(folder, size, chosen);
  const stop = () => {
    void workspace.remove().finally(() => process.exit(130));
  };
  process.once('SIGINT', stop).once('SIGTERM', stop);
  try {
    const measurements = new Map<CaseId, Measurement[]>(chosen.map((id) => [id, []]));
    for (let round = 1; round <= runs; round += 1) {
      for (const id of chosen) measurements.get(id)?.push(await runOnce(id, workspace));
      console.error(`round ${round} of ${runs} done`);
    }
    const bytesOf = (id: CaseId) => (CASES[id] as BenchCase).bytes?.(workspace) ?? size;
    console.log(`${timesTable(measurements, bytesOf).join('\n')}\n`);
    const { lines, missed } = targetsTable(measurements);
    console.log(lines.join('\n'));
    if (missed) process.exitCode = 1;
  } finally {
    await workspace.remove();
  }
}

/** Input in the page cache, output removed, and nothing of the run before left to be written to the disk. */
async function runOnce(id: CaseId, workspace: Workspace): Promise<Measurement> {
  const output = join(workspace.folder, 'output');
  const { command, options, after }: BenchCase = CASES[id];
  await mkdir(output);
  try {
    return await measure(command(workspace, output), workspace.folder, options?.(workspace, output));
  } finally {
    await after?.(workspace);
    await rm(output, { recursive: true, force: true });
    execFileSync('sync');
  }
}
