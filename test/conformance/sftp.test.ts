import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { startSshd, type TestSshd } from '../servers/sshd.ts';
import { freePort } from '../support/free-port.ts';
import { describeDestination } from './destination.suite.ts';
import { brokenSftp, openSftpStorage, unwritable } from './sftp/storage.ts';

let server: TestSshd;
const broken = (storage: Parameters<typeof brokenSftp>[1]) => brokenSftp(() => server, storage);

describeDestination({
  name: 'sftp on OpenSSH',
  start: async () => {
    server = await startSshd();
  },
  stop: async () => await server.stop(),
  open: async () => await openSftpStorage(server),
  broken: [
    broken({
      name: 'the folder is missing',
      code: 'not-found',
      message: /nowhere does not exist on sftp:.*create it/,
      options: async () => ({ root: 'nowhere' }),
    }),
    broken({
      name: 'the folder is a file',
      code: 'invalid-config',
      message: /a-file on sftp:.* is a file, not a folder/,
      options: async () => {
        await writeFile(join(server.folder, 'a-file'), '');
        return { root: `${server.root}/a-file` };
      },
    }),
    broken({
      name: 'the key is not accepted',
      code: 'permission',
      message: /did not accept the key/,
      options: async () => ({ privateKey: server.strangersKey.text }),
    }),
    broken({
      name: 'the host shows another key',
      code: 'permission',
      message: /is not trusted: none of its keys .*SHA256:/,
      options: async () => ({ hostKeys: [`SHA256:${'B'.repeat(43)}`] }),
    }),
    broken({
      name: 'no host key is set',
      code: 'permission',
      message: /is not trusted: no host key was set.*SHA256:.*only if it is right/,
      options: async () => ({ hostKeys: [] }),
    }),
    broken({
      name: 'the key file is missing',
      code: 'not-found',
      message: /\/nowhere\/key cannot be read/,
      options: async () => ({ privateKey: undefined, keyFile: '/nowhere/key' }),
    }),
    broken({
      name: 'nothing listens there',
      code: 'unavailable',
      message: /ECONNREFUSED/,
      options: async () => ({ port: await freePort() }),
    }),
    broken({
      name: 'the folder may not be written',
      code: 'permission',
      message: /Permission denied/,
      options: async () => ({ root: await unwritable(server) }),
      fails: ['probe', 'write'],
    }),
  ],
});
