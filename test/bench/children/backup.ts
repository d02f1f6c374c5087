import { createLocalDestination } from '../../../lib/destinations/local/local.ts';
import { createSqliteSource } from '../../../lib/sources/sqlite/sqlite-source.ts';
import { createCompress } from '../../../lib/transforms/compress.ts';
import { createEncrypt } from '../../../lib/transforms/encrypt.ts';
import { runEngine } from '../../support/engine-run.ts';
import { fileSource } from './file-source.ts';
import { ENCRYPTION_KEY } from './key.ts';

/*
 * backup.ts <text|sqlite> <file> <plain|sealed> <folder> …: one run of the engine into one or more folders;
 * `sealed` is zstd -3 and AES-256-GCM.
 */
const [, , kind = '', file = '', stages = '', ...folders] = process.argv;

const source = kind === 'sqlite' ? createSqliteSource({ files: [file] }) : fileSource(file);
const steps =
  stages === 'sealed'
    ? [
        { node: 'compress', transform: createCompress({ algorithm: 'zstd', level: 3 }) },
        { node: 'encrypt', transform: createEncrypt(ENCRYPTION_KEY, { format: 'dbk' }) },
      ]
    : [];
const branches = folders.map((root, index) => ({
  name: `local-${index}`,
  to: createLocalDestination({ root, create: true }),
  steps,
}));
const { result } = await runEngine(source, branches);
if (result.state !== 'succeeded') {
  console.error(result);
  process.exitCode = 1;
}
