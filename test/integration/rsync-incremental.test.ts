import assert from 'node:assert/strict';
import { join } from 'node:path';
import type { DestinationDriver } from '../../lib/destinations/driver.ts';
import type { RsyncOptionsInput } from '../../lib/destinations/rsync/options.ts';
import { createRsyncDestination } from '../../lib/destinations/rsync/rsync.ts';
import { type CompressOptions, createCompress } from '../../lib/transforms/compress.ts';
import { never } from '../conformance/destination/fixture.ts';
import { makeFolder, type RsyncServer, rsyncOverSsh } from '../conformance/rsync/storage.ts';
import { TestProxy } from '../servers/proxy.ts';
import { TestRsyncd } from '../servers/rsyncd.ts';
import { startSshd, type TestSshd } from '../servers/sshd.ts';
import { collect, cut, noise, sha256, sqlText } from '../support/byte-streams.ts';

const SETS = ['20261120T020000Z_00000001', '20261121T020000Z_00000002', '20261122T020000Z_00000003'];

describe('rsync sends what has changed', function () {
  this.timeout(300_000);
  let daemon: TestRsyncd;
  let sshd: TestSshd;
  let dump: Buffer;
  /** The same with a line more at its beginning: everything behind it moves. */
  let changed: Buffer;

  before(async () => {
    [daemon, sshd] = await Promise.all([TestRsyncd.start(), startSshd()]);
    dump = sqlText(50_000_000);
    changed = Buffer.concat([Buffer.from("INSERT INTO orders VALUES (0,'one more',0.99,'new');\n"), dump]);
  });

  after(async () => {
    await Promise.all([daemon?.stop(), sshd?.stop()]);
  });

  for (const transport of ['daemon', 'ssh'] as const) {
    describe(transport, () => {
      let proxy: TestProxy;
      let driver: DestinationDriver;
      let server: RsyncServer;

      beforeEach(async () => {
        server = transport === 'daemon' ? daemon : rsyncOverSsh(sshd);
        proxy = await TestProxy.start({ host: '127.0.0.1', port: server.settings.port ?? 0 });
        driver = await open({});
      });

      afterEach(async () => await proxy.close());

      /** A driver on a folder of its own. */
      async function open(change: Partial<RsyncOptionsInput>): Promise<DestinationDriver> {
        const root = `incremental-${Math.random().toString(36).slice(2)}`;
        await makeFolder(server, join(server.home, root));
        return createRsyncDestination({
          ...server.settings,
          port: proxy.port,
          root: `${server.base}${root}`,
          ...change,
        } as RsyncOptionsInput);
      }

      /** Stores a file of a set. @returns the bytes that went to the server for it */
      async function store(set: number, file: string, content: Buffer): Promise<number> {
        const path = `backups/shop/${SETS[set]}/${file}`;
        const before = proxy.passed.client;
        const pending = await driver.write(path, cut(content, 1_000_000), { signal: never });
        await pending.commit();
        const sent = proxy.passed.client - before;
        const back = await collect(await driver.read(path, { signal: never }));
        assert.equal(sha256(back), sha256(content), 'what is read is what was written');
        return sent;
      }

      it('a plain dump: little more than the line that is new', async () => {
        const first = await store(0, 'shop.sql', dump);
        assert.ok(first > dump.length, `${first} bytes for the first backup`);
        assert.ok(first < 1.02 * dump.length, `${first} bytes: the commit sends nothing again`);
        const second = await store(1, 'shop.sql', changed);
        assert.ok(second < 0.02 * changed.length, `${second} bytes for the second backup`);
      });

      it('a dump that is compressed with stable borders: the frames that changed', async () => {
        const compressed = { algorithm: 'zstd', rsyncable: true } as const;
        const [one, two] = [await through(compressed, dump), await through(compressed, changed)];
        const first = await store(0, 'shop.sql.zst', one);
        assert.ok(first > one.length);
        const second = await store(1, 'shop.sql.zst', two);
        assert.ok(second < 0.12 * two.length, `${second} of ${two.length} bytes for the second backup`);
      });

      if (transport === 'ssh') return;

      it('a dump that is compressed as usual: nearly all of it, since all frames moved', async () => {
        const first = await through({ algorithm: 'zstd' }, dump);
        await store(0, 'shop.sql.zst', first);
        const second = await through({ algorithm: 'zstd' }, changed);
        assert.ok((await store(1, 'shop.sql.zst', second)) > 0.8 * second.length);
      });

      it('compares with the latest set only, and with the file of the same name', async () => {
        const [old, other] = [noise(3_000_000, 1), noise(3_000_000, 2)];
        await store(0, 'shop.sql', old);
        await store(1, 'shop.sql', other);
        await store(1, 'users.sql', old);
        assert.ok((await store(2, 'shop.sql', Buffer.concat([Buffer.from('x'), other]))) < 300_000);
      });

      it('sends encrypted files whole, without looking for what they cannot have', async () => {
        for (const file of ['shop.sql.zst.dbk', 'shop.sql.zst.age']) {
          const content = noise(1_000_000, 7);
          await store(0, file, content);
          assert.ok((await store(1, file, content)) > content.length);
        }
      });

      it('sends everything when it is told to', async () => {
        driver = await open({ incremental: false });
        const content = noise(1_000_000, 8);
        await store(0, 'shop.sql', content);
        assert.ok((await store(1, 'shop.sql', content)) > content.length);
      });

      it('never takes a file for unchanged that has the size and the time of the previous one', async () => {
        // Written within the same second, as large as each other.
        const [one, two] = [noise(200_000, 1), noise(200_000, 2)];
        await store(0, 'shop.sql', one);
        await store(1, 'shop.sql', two);
        await store(2, 'shop.sql', one);
      });
    });
  }
});

async function through(options: CompressOptions, raw: Buffer): Promise<Buffer> {
  return await collect(createCompress(options).forward(cut(raw, 1_000_000), never).output);
}
