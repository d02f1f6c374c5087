/**
 * A process that has the store open, for store-processes.test.ts: `store-process.ts <data dir> <run id> <mode>`, with the
 * store of its environment. `hold` journals one run as running and waits to be killed; `write` journals and finishes 25
 * runs and leaves.
 */
import { storePlace } from '../../lib/store/place.ts';
import { openStore } from '../../lib/store/store.ts';

const [dataDir = '', id = '', mode = ''] = process.argv.slice(2);
const store = await openStore(storePlace(dataDir, process.env));
if (mode === 'hold') {
  await store.journal.opened({ id, job: 'held', openedAt: new Date() });
  await store.journal.state(id, 'running');
  await store.journal.stage(id, 'dumping shop');
  process.stdout.write('ready\n');
  setInterval(() => undefined, 1000);
} else {
  for (let index = 0; index < 25; index++) await writeRun(`${id}-${index}`);
  await store.close();
}

async function writeRun(runId: string): Promise<void> {
  const openedAt = new Date();
  await store.journal.opened({ id: runId, job: 'written', openedAt });
  await store.journal.state(runId, 'running');
  await store.journal.finished({
    runId,
    job: 'written',
    state: 'succeeded',
    openedAt,
    finishedAt: new Date(),
    rawBytes: 1,
    artifacts: [{ node: 's', database: 'db' }],
    destinations: [],
  });
}
