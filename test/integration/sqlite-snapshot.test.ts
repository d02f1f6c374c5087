import assert from 'node:assert/strict';
import { fork } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import type { SnapshotCheck, SnapshotReport } from '../fixtures/snapshot-check-process.ts';
import { Writer, type WriterOptions } from '../fixtures/sqlite-database.ts';
import { SqliteFolder } from '../support/sqlite-folder.ts';

const CHECKER = join(import.meta.dirname, '../fixtures/snapshot-check-process.ts');

describe('a snapshot read from the files of a database in WAL mode', function () {
  this.timeout(240_000);
  let folder: SqliteFolder;

  beforeEach(async () => {
    folder = await SqliteFolder.create();
  });
  afterEach(async () => await folder.remove());

  it('is, page by page, what the online backup reads while writers and checkpoints go on', async () => {
    const path = folder.database('busy.db', { megabytes: 2 });
    const enough = { withLog: 4, checkpoints: 1 };
    const report = await checkWhileWriting({ path, rounds: 60, slowly: true, enough }, [
      { seed: 1, checkpoints: 0.05, pauseMs: 1 },
      { seed: 2, pauseMs: 3 },
    ]);

    assert.deepEqual(report.differences, []);
    assert.equal(report.refused, 0);
    assert.ok(report.withLog > 3, `only ${report.withLog} rounds needed the log`);
    assert.ok(report.checkpoints > 0, `no round saw a checkpoint`);
  });

  it('needs no log when all of it is in the file, even if the log begins anew meanwhile', async () => {
    const path = folder.database('calm.db', { megabytes: 2, pageSize: 1024 });
    const enough = { fileOnly: 1, restarts: 1 };
    const report = await checkWhileWriting({ path, rounds: 60, slowly: true, enough }, [
      { seed: 3, checkpoints: 1, pauseMs: 10 },
    ]);

    assert.deepEqual(report.differences, []);
    assert.equal(report.refused, 0);
    assert.ok(report.fileOnly > 0, `no round did without the log`);
    assert.ok(report.restarts > 0, `the log never began anew`);
  });

  it('is exactly the moment of the read transaction, however fast commits follow each other', async () => {
    const path = folder.database('hammered.db', { megabytes: 1, pageSize: 512 });
    const report = await checkWhileWriting({ path, rounds: 400, slowly: false }, [
      { seed: 6, small: true, checkpoints: 0.02 },
      { seed: 7, small: true, checkpoints: 0.02 },
    ]);

    assert.deepEqual(report.differences, []);
    assert.ok(report.refused < report.rounds / 2, `${report.refused} rounds were refused`);
  });

  it('holds for the largest pages too', async () => {
    const path = folder.database('large-pages.db', { megabytes: 4, pageSize: 65_536 });
    const report = await checkWhileWriting({ path, rounds: 25, slowly: true }, [
      { seed: 4, checkpoints: 0.2, pauseMs: 1 },
    ]);

    assert.deepEqual(report.differences, []);
    assert.equal(report.refused, 0);
  });

  async function checkWhileWriting(
    check: Pick<SnapshotCheck, 'path' | 'rounds' | 'slowly' | 'enough'>,
    writers: readonly WriterOptions[],
  ): Promise<SnapshotReport> {
    const running = await Promise.all(writers.map((options) => Writer.start(check.path, options)));
    try {
      const checker = fork(CHECKER, [], { execArgv: [] });
      checker.send({ ...check, copy: folder.file('copy.db'), seed: 5 } satisfies SnapshotCheck);
      const ended = once(checker, 'exit');
      // Not 'exit': that may be seen before the last message, which 'disconnect' never is.
      const cut = once(checker, 'disconnect').then(() => undefined);
      const answer = await Promise.race([once(checker, 'message'), cut]);
      assert.ok(answer !== undefined, 'the process that checks ended early');
      await ended;
      return answer[0] as SnapshotReport;
    } finally {
      for (const writer of running) assert.ok((await writer.stop()) > 10, 'the writer had no turn');
    }
  }
});
