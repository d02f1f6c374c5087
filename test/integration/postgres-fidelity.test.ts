import { FIDELITY_MS, FidelityServer, WAYS } from '../support/postgres-fidelity.ts';

describe('a database of PostgreSQL 15, backed up while it is written and restored', function () {
  this.timeout(FIDELITY_MS);
  let original: FidelityServer;

  before(async () => {
    original = await FidelityServer.start(15);
  });
  after(async () => await original?.stop());

  for (const format of ['custom', 'plain', 'tar'] as const) {
    it(`has as many rows as the manifest says when it is restored for a test, by ${format}`, async () => {
      await original.test(await original.dump(format));
    });
  }

  for (const way of WAYS) {
    it(`is the same again under another name, by ${way.format} with ${way.jobs} job(s)`, async () => {
      await original.take(await original.dump(way.format), way, await original.portrait());
    });
  }
});
