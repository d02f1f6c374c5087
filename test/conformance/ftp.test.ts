import { randomBytes } from 'node:crypto';
import { chmod, chown, mkdir, readdir, rm, stat, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { createFtpDestination } from '../../lib/destinations/ftp/ftp.ts';
import type { FtpOptionsInput } from '../../lib/destinations/ftp/options.ts';
import { type ProftpdSettings, TestProftpd } from '../servers/proftpd.ts';
import { freePort } from '../support/free-port.ts';
import { killedStorageWriter } from '../support/killed-storage-writer.ts';
import { type BrokenStorage, describeDestination } from './destination.suite.ts';

const MIB = 1024 ** 2;

describeFtp('ftp over TLS', {}, 64 * MIB);
describeFtp('plain ftp', { security: 'plain' }, 256 * MIB);

function describeFtp(name: string, settings: ProftpdSettings, largeObjectBytes: number): void {
  let server: TestProftpd;

  const broken = (
    title: string,
    code: BrokenStorage['code'],
    message: RegExp,
    options: () => Promise<Partial<FtpOptionsInput>>,
    fails?: BrokenStorage['fails'],
  ): BrokenStorage => ({
    name: title,
    code,
    message,
    ...(fails === undefined ? {} : { fails }),
    open: async () => ({ driver: createFtpDestination({ ...server.settings, ...(await options()) }) }),
  });

  const overTls =
    settings.security === 'plain'
      ? []
      : [
          broken(
            'the certificate is from an unknown authority',
            'permission',
            /certificate.*CA file/,
            async () => ({
              caFile: server.otherCaFile,
            }),
          ),
          broken('the certificate names another host', 'permission', /localhost.*CA file/, async () => ({
            host: 'localhost',
          })),
          broken(
            'the CA file is missing',
            'invalid-config',
            /CA file .*nowhere.* cannot be read/,
            async () => ({
              caFile: '/nowhere.pem',
            }),
          ),
          broken('TLS is required and not used', 'permission', /SSL\/TLS required/, async () => ({
            security: 'plain',
          })),
        ];

  describeDestination({
    name,
    lacks: ['atomic replace', 'free space'],
    largeObjectBytes,
    start: async () => {
      server = await TestProftpd.start(settings);
    },
    stop: async () => await server.stop(),
    broken: [
      broken(
        'the folder is missing',
        'not-found',
        /nowhere does not exist on ftps?:.*create it/,
        async () => ({
          root: 'nowhere',
        }),
      ),
      broken('the folder is a file', 'invalid-config', /a-file/, async () => {
        await writeFile(join(server.home, 'a-file'), '');
        return { root: 'a-file' };
      }),
      broken('the password is wrong', 'permission', /check user and password/, async () => ({
        password: 'wrong',
      })),
      broken('nothing listens there', 'unavailable', /ECONNREFUSED.*check host and port/, async () => ({
        port: await freePort(),
      })),
      broken(
        'the folder may not be written',
        'permission',
        /denied/i,
        async () => ({
          root: await unwritable(server),
        }),
        ['probe', 'write'],
      ),
      ...overTls,
    ],
    open: async () => {
      const root = `root-${randomBytes(6).toString('hex')}`;
      const path = join(server.home, root);
      await makeFolder(server, path);
      const options = { ...server.settings, root };
      const recipe = {
        module: new URL('../../lib/destinations/ftp/ftp.ts', import.meta.url).href,
        create: 'createFtpDestination',
        options,
      };
      return {
        driver: createFtpDestination(options),
        again: () => createFtpDestination(options),
        traces: async () => await entriesBelow(path),
        dieWriting: async (object) => await killedStorageWriter(recipe, object),
        plant: async (object, content) => {
          await makeFolder(server, dirname(join(path, object)));
          await writeFile(join(path, object), content);
        },
        close: async () => await rm(path, { recursive: true, force: true }),
      };
    },
  });
}

/** A folder that belongs to the server's account, with those above it. */
async function makeFolder(server: TestProftpd, path: string): Promise<void> {
  const made = await mkdir(path, { recursive: true });
  if (made === undefined || process.getuid?.() !== 0) return;
  const { uid, gid } = await stat(server.home);
  for (let folder = path; folder.length >= made.length; folder = dirname(folder))
    await chown(folder, uid, gid);
}

async function unwritable(server: TestProftpd): Promise<string> {
  const path = join(server.home, 'read-only');
  await makeFolder(server, path);
  await chmod(path, 0o555);
  return 'read-only';
}

async function entriesBelow(root: string): Promise<string[]> {
  const entries = await readdir(root, { recursive: true, withFileTypes: true });
  return entries
    .map((entry) => {
      const path = join(entry.parentPath, entry.name).slice(root.length + 1);
      return entry.isDirectory() ? `${path}/` : path;
    })
    .sort();
}
