import { chmod, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { type ApacheSettings, TestApache } from '../servers/apache.ts';
import { freePort } from '../support/free-port.ts';
import { type BrokenStorage, describeDestination } from './destination.suite.ts';
import { brokenWebdav, makeFolder, openWebdavStorage } from './webdav/storage.ts';

const MIB = 1024 ** 2;

describeWebdav('webdav on Apache', { auth: 'digest' }, 256 * MIB);
describeWebdav('webdav on Apache over TLS', { tls: true }, 64 * MIB);

function describeWebdav(name: string, settings: ApacheSettings, largeObjectBytes: number): void {
  let server: TestApache;
  const broken = (storage: Parameters<typeof brokenWebdav>[1]) => brokenWebdav(() => server, storage);

  const withTls = (): BrokenStorage[] => [
    broken({
      name: 'the certificate is from an unknown authority',
      code: 'permission',
      message: /certificate.*CA file/,
      options: async () => ({ caFile: server.otherCaFile }),
    }),
    broken({
      name: 'the certificate names another host',
      code: 'permission',
      message: /localhost.*CA file/,
      options: async () => ({ url: `https://localhost:${server.port}/dav` }),
    }),
    broken({
      name: 'the CA file is missing',
      code: 'invalid-config',
      message: /CA file .*nowhere.* cannot be read/,
      options: async () => ({ caFile: '/nowhere.pem' }),
    }),
  ];
  const withoutTls = (): BrokenStorage[] => [
    broken({
      name: 'the server does not speak TLS',
      code: 'invalid-config',
      message: /does not speak TLS there/,
      options: async () => ({ url: `https://127.0.0.1:${server.port}/dav` }),
    }),
  ];

  describeDestination({
    name,
    lacks: ['atomic replace', 'free space'],
    largeObjectBytes,
    start: async () => {
      server = await TestApache.start(settings);
    },
    stop: async () => await server.stop(),
    open: async () => await openWebdavStorage(server),
    broken: [
      broken({
        name: 'the folder is missing',
        code: 'not-found',
        message: /nowhere does not exist: create it/,
        options: async () => ({ url: `${server.settings.url}/nowhere` }),
      }),
      broken({
        name: 'the folder is a file',
        code: 'invalid-config',
        message: /is a file|Not allowed|400/i,
        options: async () => {
          await writeFile(join(server.root, 'a-file'), '');
          return { url: `${server.settings.url}/a-file` };
        },
      }),
      broken({
        name: 'the password is wrong',
        code: 'permission',
        message: /check user and password/,
        options: async () => ({ password: 'wrong' }),
      }),
      broken({
        name: 'nothing listens there',
        code: 'unavailable',
        message: /ECONNREFUSED.*check host and port/,
        options: async () => ({ url: `http://127.0.0.1:${await freePort()}/dav` }),
      }),
      broken({
        name: 'the URL is not for WebDAV',
        code: 'invalid-config',
        message: /405.*check that the URL is the one for WebDAV/,
        options: async () => ({ url: `${server.settings.url}/../not-dav` }),
      }),
      broken({
        name: 'the folder may not be written',
        code: 'permission',
        message: /403.*give the user the right/,
        options: async () => {
          await makeFolder(server, join(server.root, 'read-only'));
          await chmod(join(server.root, 'read-only'), 0o555);
          return { url: `${server.settings.url}/read-only` };
        },
        fails: ['probe', 'write'],
      }),
      ...(settings.tls ? withTls() : withoutTls()),
    ],
  });
}
