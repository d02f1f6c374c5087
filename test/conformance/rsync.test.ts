import { TestRsyncd } from '../servers/rsyncd.ts';
import { describeDestination } from './destination.suite.ts';
import { brokenFolders, brokenRsync, openRsyncStorage } from './rsync/storage.ts';

let server: TestRsyncd;
const broken = (storage: Parameters<typeof brokenRsync>[1]) => brokenRsync(() => server, storage);

describeDestination({
  name: 'rsync daemon',
  lacks: ['ranges', 'free space'],
  largeObjectBytes: 128 * 1024 ** 2,
  start: async () => {
    server = await TestRsyncd.start();
  },
  stop: async () => await server.stop(),
  open: async () => await openRsyncStorage(server),
  broken: [
    ...brokenFolders(() => server),
    broken({
      name: 'the password is wrong',
      code: 'permission',
      message: /auth failed on module backups.*check user and password/,
      options: async () => ({ password: 'wrong' }),
    }),
    broken({
      name: 'there is no password',
      code: 'permission',
      message: /auth failed on module backups.*check user and password/,
      options: async () => ({ password: undefined }),
    }),
    broken({
      name: 'the module is unknown',
      code: 'not-found',
      message: /[Uu]nknown module 'nowhere'.*rsyncd\.conf/,
      options: async () => ({ module: 'nowhere' }),
    }),
    broken({
      name: 'the module is read-only',
      code: 'permission',
      message: /module is read only.*rsyncd\.conf/,
      options: async () => ({ module: 'readonly' }),
      fails: ['probe', 'write'],
    }),
  ],
});
