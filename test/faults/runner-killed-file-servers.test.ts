import { describeKilledRunner, seedOfTests } from '../fixtures/killed-runner.ts';
import { localStorage, rsyncStorage, smbStorage } from '../support/killed-storages.ts';
import { skipBecause } from '../support/skip.ts';

describe(`dbackup run, killed with SIGKILL while file servers wait (seed ${seedOfTests})`, function () {
  this.timeout(600_000);

  before(function () {
    if (process.getuid?.() !== 0) skipBecause(this, 'smbd needs root');
  });

  describeKilledRunner([localStorage, rsyncStorage, smbStorage], { rsync: 0.5, smb: 0.5 });
});
