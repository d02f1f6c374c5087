import { ProftpdSftp } from '../servers/proftpd-sftp.ts';
import { describeDestination } from './destination.suite.ts';
import { brokenSftp, openSftpStorage, unwritable } from './sftp/storage.ts';

let server: ProftpdSftp;
const broken = (storage: Parameters<typeof brokenSftp>[1]) => brokenSftp(() => server, storage);

describeDestination({
  name: 'sftp on ProFTPD',
  largeObjectBytes: 64 * 1024 ** 2,
  start: async () => {
    server = await ProftpdSftp.start();
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
      name: 'the password is wrong',
      code: 'permission',
      message: /did not accept the password/,
      options: async () => ({ password: 'wrong' }),
    }),
    broken({
      name: 'the folder may not be written',
      code: 'permission',
      message: /denied/i,
      options: async () => ({ root: await unwritable(server) }),
      fails: ['probe', 'write'],
    }),
  ],
});
