import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { type ProftpdSettings, TestProftpd } from '../servers/proftpd.ts';
import { freePort } from '../support/free-port.ts';
import { type BrokenStorage, describeDestination } from './destination.suite.ts';
import { brokenFtp, openFtpStorage, unwritable } from './ftp/storage.ts';

const MIB = 1024 ** 2;

describeFtp('ftp over TLS', {}, 64 * MIB);
describeFtp('plain ftp', { security: 'plain' }, 256 * MIB);

function describeFtp(name: string, settings: ProftpdSettings, largeObjectBytes: number): void {
  let server: TestProftpd;
  const broken = (storage: Parameters<typeof brokenFtp>[1]) => brokenFtp(() => server, storage);

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
      options: async () => ({ host: 'localhost' }),
    }),
    broken({
      name: 'the CA file is missing',
      code: 'invalid-config',
      message: /CA file .*nowhere.* cannot be read/,
      options: async () => ({ caFile: '/nowhere.pem' }),
    }),
    broken({
      name: 'TLS is required and not used',
      code: 'permission',
      message: /SSL\/TLS required/,
      options: async () => ({ security: 'plain' }),
    }),
  ];
  const withoutTls = (): BrokenStorage[] => [
    broken({
      name: 'the server offers no TLS',
      code: 'invalid-config',
      message: /offers no TLS .*or choose plain FTP/,
      options: async () => ({ security: 'explicit-tls' }),
    }),
    broken({
      name: 'the server does not begin with TLS',
      code: 'invalid-config',
      message: /does not speak TLS there/,
      options: async () => ({ security: 'implicit-tls' }),
    }),
  ];

  describeDestination({
    name,
    lacks: ['atomic replace', 'free space'],
    largeObjectBytes,
    start: async () => {
      server = await TestProftpd.start(settings);
    },
    stop: async () => await server.stop(),
    open: async () => await openFtpStorage(server),
    broken: [
      broken({
        name: 'the folder is missing',
        code: 'not-found',
        message: /nowhere does not exist on ftps?:.*create it/,
        options: async () => ({ root: 'nowhere' }),
      }),
      broken({
        name: 'the folder is a file',
        code: 'invalid-config',
        message: /a-file/,
        options: async () => {
          await writeFile(join(server.home, 'a-file'), '');
          return { root: 'a-file' };
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
        options: async () => ({ port: await freePort() }),
      }),
      broken({
        name: 'the folder may not be written',
        code: 'permission',
        message: /denied/i,
        options: async () => ({ root: await unwritable(server) }),
        fails: ['probe', 'write'],
      }),
      ...(settings.security === 'plain' ? withoutTls() : withTls()),
    ],
  });
}
