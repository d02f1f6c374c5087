import { startSshd, type TestSshd } from '../servers/sshd.ts';
import { describeDestination } from './destination.suite.ts';
import {
  brokenFolders,
  brokenRsync,
  openRsyncStorage,
  type RsyncServer,
  rsyncOverSsh,
} from './rsync/storage.ts';

let sshd: TestSshd;
let server: RsyncServer;
const broken = (storage: Parameters<typeof brokenRsync>[1]) => brokenRsync(() => server, storage);

describeDestination({
  name: 'rsync over ssh',
  lacks: ['ranges', 'free space'],
  largeObjectBytes: 128 * 1024 ** 2,
  start: async () => {
    sshd = await startSshd();
    server = rsyncOverSsh(sshd);
  },
  stop: async () => await sshd.stop(),
  open: async () => await openRsyncStorage(server),
  broken: [
    ...brokenFolders(() => server),
    broken({
      name: 'the key is not accepted',
      code: 'permission',
      message: /did not accept the key/,
      options: async () => ({ privateKey: sshd.strangersKey.text }),
    }),
    broken({
      name: 'the key is encrypted and its passphrase missing',
      code: 'invalid-config',
      message: /is encrypted: give its passphrase/,
      options: async () => ({ privateKey: sshd.encryptedKey.text }),
    }),
    broken({
      name: 'the host is another one',
      code: 'permission',
      message: /is not trusted: none of its keys is among the host keys/,
      options: async () => ({ hostKeys: [`SHA256:${'A'.repeat(43)}`] }),
    }),
  ],
});
