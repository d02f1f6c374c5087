import { describeStoppedRunner } from '../fixtures/stopped-runner.ts';
import {
  ftpStorage,
  localStorage,
  s3Storage,
  sftpStorage,
  webdavStorage,
} from '../support/killed-storages.ts';

describe('dbackup run, stopped by SIGTERM while it stores', function () {
  this.timeout(300_000);
  describeStoppedRunner([localStorage, ftpStorage, webdavStorage, sftpStorage, s3Storage]);
});
