import { execFileSync } from 'node:child_process';
import { copyFile, mkdir, mkdtemp, rm, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { CASES } from './cases.ts';
import { FLOW } from './compile.ts';
import { writeDatabase, writeText } from './data.ts';
import { measure } from './measure.ts';

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
  /** zstd's ratio on the text. */
  readonly ratio: number;
  remove(): Promise<void>;
}

export async function prepareWorkspace(parent: string, bytes: number): Promise<Workspace> {
  const folder = await mkdtemp(join(parent, 'dbackup-bench-'));
  const remove = () => rm(folder, { recursive: true, force: true });
  try {
    const identityFile = join(folder, 'identity.txt');
    execFileSync('age-keygen', ['-o', identityFile], { stdio: 'ignore' });
    const recipient = execFileSync('age-keygen', ['-y', identityFile], { encoding: 'utf8' }).trim();
    const passwordFile = join(folder, 'password.txt');
    await writeFile(passwordFile, 'correct horse battery staple\n');
    const paths = {
      text: join(folder, 'text.sql'),
      database: join(folder, 'shop.sqlite'),
      flow: join(folder, 'flow.json'),
    };
    await copyFile(FLOW, paths.flow);
    await writeText(paths.text, bytes);
    writeDatabase(paths.database, bytes);
    const stored = { storedSet: join(folder, 'stored', 'a'), storedAge: join(folder, 'stored-age', 'file') };
    const workspace: Workspace = {
      folder,
      ...paths,
      ...stored,
      recipient,
      identityFile,
      passwordFile,
      ratio: 0,
      remove,
    };
    await mkdir(join(folder, 'stored-age'));
    await measure(CASES.engine.command(workspace, join(folder, 'stored')), folder);
    await measure(CASES.native.command(workspace, join(folder, 'stored-age')), folder);
    return { ...workspace, ratio: (await stat(workspace.storedAge)).size / bytes };
  } catch (error) {
    await remove();
    throw error;
  }
}
