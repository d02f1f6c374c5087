import { TestVsftpd } from '../servers/vsftpd.ts';
import { describeDestination } from './destination.suite.ts';
import { brokenFtp, openFtpStorage, unwritable } from './ftp/storage.ts';

const MIB = 1024 ** 2;

/** A server without MLSD and MLST, whose refusals do not tell what is missing from what is forbidden. */
let server: TestVsftpd;

describeDestination({
  name: 'ftp without MLSD',
  lacks: ['atomic replace', 'free space'],
  largeObjectBytes: 64 * MIB,
  listedObjects: 1000,
  startMs: 15 * 60_000,
  start: async () => {
    server = await TestVsftpd.start();
  },
  stop: async () => await server.stop(),
  open: async () => await openFtpStorage(server),
  broken: [
    brokenFtp(() => server, {
      name: 'the folder is missing',
      code: 'not-found',
      message: /nowhere does not exist on ftp:.*create it/,
      options: async () => ({ root: 'nowhere' }),
    }),
    brokenFtp(() => server, {
      name: 'the folder may not be written',
      code: 'permission',
      message: /may/i,
      options: async () => ({ root: await unwritable(server) }),
      fails: ['probe', 'write'],
    }),
  ],
});
