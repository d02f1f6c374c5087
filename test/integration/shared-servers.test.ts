import assert from 'node:assert/strict';
import { SharedServers } from '../../lib/queue/shared-servers.ts';
import { type PostgresPlace, storePlace } from '../../lib/store/place.ts';
import { startPostgres, type TestPostgres } from '../servers/postgres.ts';
import { TestProxy } from '../servers/proxy.ts';
import { freePort } from '../support/free-port.ts';
import { until } from '../support/until.ts';

const never = new AbortController().signal;
const ignore = () => undefined;

describe('places on database servers that processes share', function () {
  this.timeout(240_000);
  let server: TestPostgres;
  const open: SharedServers[] = [];
  const warnings: string[] = [];

  before(async () => {
    server = await startPostgres();
  });
  after(() => server.stop());

  afterEach(async () => {
    await Promise.all(open.splice(0).map((each) => each.close()));
    warnings.length = 0;
  });

  function placeAt(port: number): PostgresPlace {
    const place = storePlace('/nowhere', {
      DBACKUP_STORE: `postgresql://postgres@127.0.0.1:${port}/postgres`,
      DBACKUP_STORE_PASSWORD: server.password,
    });
    assert.equal(place.kind, 'postgresql');
    return place;
  }

  /** One more process. */
  function join(perServer = 1, port = server.settings.port): SharedServers {
    const process = new SharedServers(placeAt(port), perServer, (text) => warnings.push(text));
    open.push(process);
    return process;
  }

  it('are one run’s at a time, whichever process it is in, and the next one’s when it has ended', async () => {
    const [one, other] = [join(), join()];
    const giveBack = await one.take(['db:5432'], never, ignore);
    let waited = 0;
    let has = false;
    const second = other.take(['db:5432'], never, () => {
      waited += 1;
    });
    second.then(() => (has = true)).catch(ignore);
    const own = one.take(['db:5432'], never, ignore);
    await until(() => waited > 0);
    (await other.take(['elsewhere:5432'], never, () => assert.fail('it is free')))();
    assert.equal(has, false);
    giveBack();
    giveBack();
    const next = await Promise.race([second, own]);
    next();
    for (const last of [await second, await own]) last();
    assert.equal(waited, 1);
    assert.deepEqual(warnings, []);
  });

  it('are as many as the setting says, also within one process', async () => {
    const [one, other] = [join(2), join(2)];
    const first = await one.take(['db:1'], never, ignore);
    const second = await one.take(['db:1'], never, ignore);
    const stop = new AbortController();
    let waits = false;
    const third = other.take(['db:1'], stop.signal, () => {
      waits = true;
    });
    await until(() => waits);
    stop.abort();
    await assert.rejects(third, { code: 'aborted' });
    first();
    second();
    (await other.take(['db:1'], never, ignore))();
  });

  it('are taken all at once or not at all', async () => {
    const [one, other] = [join(), join()];
    const giveBack = await one.take(['b:1'], never, ignore);
    let waits = false;
    const both = other.take(['a:1', 'b:1'], never, () => {
      waits = true;
    });
    await until(() => waits);
    (await one.take(['a:1'], never, () => assert.fail('it was given back')))();
    giveBack();
    (await both)();
  });

  it('are free when the process that had them is gone', async () => {
    const [dying, other] = [join(), join()];
    await dying.take(['db:7'], never, ignore);
    await server.query(
      "SELECT pg_terminate_backend(pid) FROM pg_locks WHERE locktype = 'advisory' AND pid <> pg_backend_pid()",
    );
    (await other.take(['db:7'], never, ignore))();
    // The one that lived after all goes on as well.
    (await dying.take(['db:7'], never, ignore))();
  });

  it('hold nobody up while they cannot be counted, which is told once', async () => {
    const lonely = join(1, await freePort());
    (await lonely.take(['db:1'], never, () => assert.fail('it must not wait')))();
    (await lonely.take(['db:1'], never, () => assert.fail('it must not wait')))();
    assert.equal(warnings.length, 1);
    assert.match(warnings[0] ?? '', /do not see which database servers .*ECONNREFUSED/);
  });

  describe('on a server that does not answer any more', () => {
    let proxy: TestProxy;

    beforeEach(async () => {
      proxy = await TestProxy.start({ host: '127.0.0.1', port: server.settings.port });
    });
    afterEach(() => proxy.close());

    it('hold nobody up for ever', async () => {
      const deaf = new SharedServers(placeAt(proxy.port), 1, (text) => warnings.push(text), 500);
      open.push(deaf);
      await deaf.take(['db:1'], never, ignore);
      proxy.stall();
      (await deaf.take(['db:2'], never, () => assert.fail('it must not wait')))();
      assert.match(warnings.join(), /has not answered for 0.5 s/);
    });

    it('end to wait when they are asked to', async () => {
      const deaf = join(1, proxy.port);
      await deaf.take(['db:1'], never, ignore);
      proxy.stall();
      const stop = new AbortController();
      const taking = deaf.take(['db:2'], stop.signal, ignore);
      stop.abort();
      await assert.rejects(taking, { code: 'aborted' });
      assert.deepEqual(warnings, []);
    });
  });
});
