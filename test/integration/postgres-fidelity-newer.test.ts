import { orSkip } from '../servers/foreign-suite.ts';
import { FIDELITY_MS, FidelityServer, WAYS } from '../support/postgres-fidelity.ts';

/** The programs may have to be unpacked first, in ms. */
const START_MS = 20 * 60_000;

describe('a database of PostgreSQL 17, backed up while it is written and restored', function () {
  this.timeout(FIDELITY_MS);
  let original: FidelityServer;
  let older: FidelityServer | undefined;

  before(async function () {
    this.timeout(START_MS);
    original = await orSkip(this, () => FidelityServer.start(17));
  });
  after(async () => {
    await original?.stop();
    await older?.stop();
  });

  for (const way of WAYS) {
    it(`is the same again under another name, by ${way.format} with ${way.jobs} job(s)`, async () => {
      await original.take(await original.dump(way.format), way, await original.portrait());
    });
  }

  for (const way of WAYS) {
    it(`can come from PostgreSQL 15, by ${way.format} with ${way.jobs} job(s)`, async () => {
      older ??= await FidelityServer.start(15);
      // The newer server words the same definitions in another way.
      const { schema } = await original.portrait();
      await original.take(await older.dump(way.format), way, { ...(await older.portrait()), schema });
    });
  }
});
