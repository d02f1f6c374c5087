import { describeKilledRunner, seedOfTests } from '../fixtures/killed-runner.ts';
import {
  ftpStorage,
  localStorage,
  s3Storage,
  sftpStorage,
  webdavStorage,
} from '../support/killed-storages.ts';

describe(`dbackup run, killed with SIGKILL while storages wait (seed ${seedOfTests})`, function () {
  this.timeout(600_000);
  describeKilledRunner([localStorage, ftpStorage, webdavStorage, sftpStorage, s3Storage], {
    ftp: 0.5,
    webdav: 0.5,
    sftp: 0.5,
    s3: 0.6,
  });
});
