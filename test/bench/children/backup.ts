import { createLocalDestination } from '../../../lib/destinations/local/local.ts';
import { BackupEngine } from '../../../lib/engine/backup-engine.ts';
import { extendRecipe } from '../../../lib/plan/extend.ts';
import type { Recipe } from '../../../lib/plan/recipe.ts';
import type { RunResult } from '../../../lib/runs/outcome.ts';
import type { SourceDriver } from '../../../lib/sources/driver.ts';
import { createSqliteSource } from '../../../lib/sources/sqlite/sqlite-source.ts';
import { createCompress } from '../../../lib/transforms/compress.ts';
import { createEncrypt } from '../../../lib/transforms/encrypt.ts';
import type { Transform } from '../../../lib/transforms/transform.ts';
import { tuneProcess } from '../../../runner/tune-process.ts';
import { fileSource } from './file-source.ts';
import { ENCRYPTION_KEY } from './key.ts';
import { readServerFile, serverSource } from './server.ts';

/*
 * backup.ts <text|sqlite|server> <file> <plain|encrypted|sealed> <folder> …: one run of the engine into one or
 * more folders; `encrypted` is AES-256-GCM, `sealed` zstd -3 before it.
 */
tuneProcess();
const [, , kind = '', file = '', stages = '', ...folders] = process.argv;

const source = sourceOf(kind, file);
const transforms = transformsOf(stages);
const result = await backup(source, transforms, folders);
if (result.state !== 'succeeded') {
  console.error(result);
  process.exitCode = 1;
}

function sourceOf(kind: string, file: string): SourceDriver {
  if (kind === 'server') return serverSource(readServerFile(file));
  return kind === 'sqlite' ? createSqliteSource({ files: [file] }) : fileSource(file);
}

function transformsOf(stages: string): Transform[] {
  if (stages === 'plain') return [];
  const encrypt = createEncrypt(ENCRYPTION_KEY, { format: 'dbk' });
  return stages === 'encrypted' ? [encrypt] : [createCompress({ algorithm: 'zstd', level: 3 }), encrypt];
}

/** What the nodes of a flow do: open a run, add the steps, join with each destination, seal. */
async function backup(
  driver: SourceDriver,
  steps: readonly Transform[],
  roots: readonly string[],
): Promise<RunResult> {
  const engine = new BackupEngine();
  const finished = new Promise<RunResult>((resolve) => engine.events.once('finished', resolve));
  const run = engine.openRun({ job: 'bench' });
  run.bindSource({ node: 'source', label: 'source', driver });
  let recipe: Recipe = run.initialRecipe({ type: 'source', node: 'source', kind: driver.kind, options: {} });
  for (const transform of steps) {
    const node = transform.kind;
    run.bindTransform({ node, label: node, transform });
    recipe = extendRecipe(recipe, { type: 'transform', node, kind: transform.kind, options: {} });
  }
  const joined = roots.map((root, index) => {
    const node = `local-${index}`;
    return run.join(recipe, {
      node,
      label: node,
      driver: createLocalDestination({ root, create: true }),
      prefix: '',
    });
  });
  run.seal();
  await Promise.allSettled(joined);
  return await finished;
}
