import { execFileSync } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { copyFile, mkdir, mkdtemp, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { type BenchCase, CASES, type CaseId } from './cases.ts';
import { FLOW } from './compile.ts';
import { writeDatabase, writeText } from './data.ts';
import { measure } from './measure.ts';
import { type BenchServer, type Engine, startBenchServer } from './servers.ts';
import { type BenchSftp, startBenchSftp } from './sftp.ts';

/** The data of one bench, and what restores start from. */
export interface Workspace {
  readonly folder: string;
  readonly text: string;
  readonly database: string;
  /** A copy of the flow that the runner runs. */
  readonly flow: string;
  /** A storage that holds one set of the text, zstd-3 and `.dbk`. */
  readonly storedSet: string;
  /** The text as `.zst.age`. */
  readonly storedAge: string;
  readonly recipient: string;
  readonly identityFile: string;
  readonly passwordFile: string;
  /** Those that the chosen cases need. */
  readonly servers: Readonly<Partial<Record<Engine, BenchServer>>>;
  readonly sftp?: BenchSftp;
  remove(): Promise<void>;
}

/** @param chosen what will be run: what no case needs is not made */
export async function prepareWorkspace(
  parent: string,
  bytes: number,
  chosen: readonly CaseId[],
): Promise<Workspace> {
  const folder = await mkdtemp(join(parent, 'dbackup-bench-'));
  const servers: Partial<Record<Engine, BenchServer>> = {};
  let sftp: BenchSftp | undefined;
  const remove = async () => {
    await Promise.all(Object.values(servers).map((server) => server.stop()));
    await sftp?.stop();
    await rm(folder, { recursive: true, force: true });
  };
  const needs = new Set(chosen.map((id) => (CASES[id] as BenchCase).needs ?? 'files'));
  try {
    const workspace: Workspace = { folder, servers, remove, ...filesIn(folder), ...keysIn(folder) };
    if (needs.has('files')) await makeFiles(workspace, bytes);
    for (const engine of ['postgres', 'mariadb'] as const) {
      if (!needs.has(engine)) continue;
      servers[engine] = await startBenchServer(engine, folder, bytes);
      const stored = CASES[`${engine}Sealed`].command(workspace, join(folder, engine, 'stored'));
      await measure(stored, folder);
    }
    if (!needs.has('sftp')) return workspace;
    sftp = await startBenchSftp(folder, bytes);
    return { ...workspace, sftp };
  } catch (error) {
    await remove();
    throw error;
  }
}

function filesIn(folder: string) {
  return {
    text: join(folder, 'text.sql'),
    database: join(folder, 'shop.sqlite'),
    flow: join(folder, 'flow.json'),
    storedSet: join(folder, 'stored', 'a'),
    storedAge: join(folder, 'stored-age', 'file'),
  };
}

function keysIn(folder: string) {
  const identityFile = join(folder, 'identity.txt');
  execFileSync('age-keygen', ['-o', identityFile], { stdio: 'ignore' });
  const recipient = execFileSync('age-keygen', ['-y', identityFile], { encoding: 'utf8' }).trim();
  const passwordFile = join(folder, 'password.txt');
  writeFileSync(passwordFile, 'correct horse battery staple\n');
  return { identityFile, recipient, passwordFile };
}

async function makeFiles(workspace: Workspace, bytes: number): Promise<void> {
  const { folder, text, database, flow, storedAge } = workspace;
  await copyFile(FLOW, flow);
  await writeText(text, bytes);
  writeDatabase(database, bytes);
  await mkdir(join(folder, 'stored-age'));
  await measure(CASES.engine.command(workspace, join(folder, 'stored')), folder);
  await measure(CASES.native.command(workspace, join(folder, 'stored-age')), folder);
  const ratio = (await stat(storedAge)).size / bytes;
  console.log(`zstd -3 brings the text to ${ratio.toFixed(3)} of its size.\n`);
}
