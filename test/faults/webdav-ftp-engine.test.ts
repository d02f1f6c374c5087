import assert from 'node:assert/strict';
import { listBackupSets } from '../../lib/backupset/catalog.ts';
import type { DestinationDriver } from '../../lib/destinations/driver.ts';
import { createFtpDestination } from '../../lib/destinations/ftp/ftp.ts';
import { createWebdavDestination } from '../../lib/destinations/webdav/webdav.ts';
import { verifySet } from '../../lib/restore/verify.ts';
import { TestApache } from '../servers/apache.ts';
import { FtpProxy } from '../servers/ftp-proxy.ts';
import { TestNextcloud } from '../servers/nextcloud.ts';
import { TestProftpd } from '../servers/proftpd.ts';
import { runEngine } from '../support/engine-run.ts';
import { ScriptedSource } from '../support/scripted-source.ts';

const MIB = 1024 * 1024;
const signal = new AbortController().signal;
const keys = { vaultKey: async () => undefined, passphrases: [], ageIdentities: [] };

describe('engine: sets on FTP and WebDAV at the same time', function () {
  this.timeout(240_000);
  let ftp: TestProftpd;
  let apache: TestApache;
  let nextcloud: TestNextcloud;
  let proxy: FtpProxy;

  before(async () => {
    [ftp, apache, nextcloud] = await Promise.all([
      TestProftpd.start({ security: 'plain' }),
      TestApache.start(),
      TestNextcloud.start(),
    ]);
  });

  after(async () => await Promise.all([ftp.stop(), apache.stop(), nextcloud.stop()]));

  beforeEach(async () => {
    proxy = await FtpProxy.start(ftp.port);
  });

  afterEach(async () => await proxy.close());

  const drivers = (name: string) => ({
    onFtp: createFtpDestination({ ...ftp.settings, port: proxy.port, root: name, create: true }),
    onApache: createWebdavDestination({
      ...apache.settings,
      url: `${apache.settings.url}/${name}`,
      create: true,
    }),
    onNextcloud: createWebdavDestination({
      ...nextcloud.settings,
      url: `${nextcloud.settings.url}/${name}`,
      create: true,
    }),
  });
  const run = async (to: ReturnType<typeof drivers>, broken: () => void) => {
    const source = new ScriptedSource({ name: 'one', bytes: 12 * MIB }, { name: 'two', bytes: 2 * MIB });
    // After the first dump is stored, and before the second one.
    source.onDump = async (name) => {
      if (name === 'two') broken();
    };
    return await runEngine(source, [
      { to: to.onFtp, name: 'ftp' },
      { to: to.onApache, name: 'apache' },
      { to: to.onNextcloud, name: 'nextcloud' },
    ]);
  };

  async function assertWhole(driver: DestinationDriver): Promise<void> {
    const { sets, unreadable } = await listBackupSets(driver, { prefix: 'sets', signal });
    assert.deepEqual([sets.length, unreadable], [1, []]);
    for (const set of sets) {
      const report = await verifySet({ set, level: 'content', keys, signal });
      assert.ok(report.ok, report.artifacts.map(({ error }) => error?.message).join());
    }
  }

  it('stores whole sets, also where a connection breaks', async () => {
    const to = drivers('whole');
    const { result } = await run(to, () => proxy.at(/^STOR/, 'reset'));
    assert.ok(proxy.sprung);
    assert.equal(result.state, 'succeeded', String(result.destinations.map(({ error }) => error?.message)));
    for (const driver of Object.values(to)) await assertWhole(driver);
  });

  it('is partial where one of them is gone for good, and whole at the others', async () => {
    const to = drivers('partial');
    const gone = { ...to, onFtp: createFtpDestination({ ...ftp.settings, port: proxy.port, root: 'gone' }) };
    const { result } = await run(gone, () => undefined);
    assert.equal(result.state, 'partial');
    await assertWhole(to.onApache);
    await assertWhole(to.onNextcloud);
  });
});
