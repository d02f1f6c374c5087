import { TestNextcloud } from '../servers/nextcloud.ts';
import { describeDestination } from './destination.suite.ts';
import { brokenWebdav, openWebdavStorage } from './webdav/storage.ts';

const MIB = 1024 ** 2;

let server: TestNextcloud;

describeDestination({
  name: 'webdav in chunks, as Nextcloud takes them',
  lacks: ['atomic replace'],
  // More than ten chunks, the order of whose names is not that of their numbers without zeros.
  largeObjectBytes: 64 * MIB,
  listedObjects: 500,
  start: async () => {
    server = await TestNextcloud.start();
    server.quota = 10_000 * MIB;
  },
  stop: async () => await server.stop(),
  open: async () => {
    const storage = await openWebdavStorage(server);
    return {
      ...storage,
      traces: async () => [...(await storage.traces()), ...(await server.uploads())],
    };
  },
  broken: [
    brokenWebdav(() => server, {
      name: 'the folder is missing',
      code: 'not-found',
      message: /nowhere does not exist: create it/,
      options: async () => ({ url: `${server.settings.url}/nowhere` }),
    }),
    brokenWebdav(() => server, {
      name: 'the password is wrong',
      code: 'permission',
      message: /check user and password/,
      options: async () => ({ password: 'wrong' }),
    }),
  ],
});
