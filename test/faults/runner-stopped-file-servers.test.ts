import { describeStoppedRunner } from '../fixtures/stopped-runner.ts';
import { rsyncStorage, smbStorage } from '../support/killed-storages.ts';
import { skipBecause } from '../support/skip.ts';

describe('dbackup run, stopped by SIGTERM while it stores at file servers', function () {
  this.timeout(300_000);

  before(function () {
    if (process.getuid?.() !== 0) skipBecause(this, 'smbd needs root');
  });

  describeStoppedRunner([rsyncStorage, smbStorage]);
});
