import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { TestSamba } from '../servers/samba.ts';
import { freePort } from '../support/free-port.ts';
import { skipBecause } from '../support/skip.ts';
import { describeDestination } from './destination.suite.ts';
import { brokenSmb, openSmbStorage, unwritable } from './smb/storage.ts';

const MIB = 1024 ** 2;

if (process.getuid?.() === 0) describeSmb();
else
  describe('destination: smb', () => {
    it('runs against a real Samba', function () {
      skipBecause(this, 'smbd needs root');
    });
  });

function describeSmb(): void {
  let server: TestSamba;
  const broken = (storage: Parameters<typeof brokenSmb>[1]) => brokenSmb(() => server, storage);

  describeDestination({
    name: 'smb',
    lacks: ['ranges'],
    largeObjectBytes: 256 * MIB,
    start: async () => {
      server = await TestSamba.start();
    },
    stop: async () => await server.stop(),
    open: async () => await openSmbStorage(server),
    broken: [
      broken({
        name: 'the folder is missing',
        code: 'not-found',
        message: /nowhere does not exist in the share store.*create it/,
        options: async () => ({ root: 'nowhere' }),
      }),
      broken({
        name: 'the folder is a file',
        code: 'invalid-config',
        message: /a-file in the share store is a file, not a folder/,
        options: async () => {
          await writeFile(join(server.share, 'a-file'), '');
          return { root: 'a-file' };
        },
      }),
      broken({
        name: 'the share is missing',
        code: 'not-found',
        message: /BAD_NETWORK_NAME; there is no such share/,
        options: async () => ({ share: 'elsewhere' }),
      }),
      broken({
        name: 'the password is wrong',
        code: 'permission',
        message: /LOGON_FAILURE; check user, password and domain/,
        options: async () => ({ password: 'wrong' }),
      }),
      broken({
        name: 'the user is not known',
        code: 'permission',
        message: /LOGON_FAILURE; check user, password and domain/,
        options: async () => ({ user: 'stranger' }),
      }),
      broken({
        name: 'nothing listens there',
        code: 'unavailable',
        message: /CONNECTION_REFUSED.*check host and port/,
        options: async () => ({ port: await freePort() }),
      }),
      broken({
        name: 'the host does not exist',
        code: 'unavailable',
        message: /check the name of the host/,
        options: async () => ({ host: 'nowhere.invalid' }),
      }),
      broken({
        name: 'smbclient is not installed',
        code: 'unavailable',
        message: /No smbclient that works was found in .*nowhere: correct the folder/,
        options: async () => ({ clientFolder: '/nowhere' }),
      }),
      broken({
        name: 'the share is read-only',
        code: 'permission',
        message: /ACCESS_DENIED.*give the user the right/,
        options: async () => ({ share: 'read-only' }),
        fails: ['probe', 'write'],
      }),
      broken({
        name: 'the folder may not be written',
        code: 'permission',
        message: /ACCESS_DENIED.*give the user the right/,
        options: async () => ({ root: await unwritable(server) }),
        fails: ['probe', 'write'],
      }),
    ],
  });
}
