/**
 * A process that counts failures of the job `shop`, for store-jobs.test.ts:
 * `job-counting-process.ts <data dir> <failures> <limit>`, with the store of its environment. It prints how often it made the job a dead letter.
 */
import { storePlace } from '../../lib/store/place.ts';
import { openStore } from '../../lib/store/store.ts';

const [dataDir = '', failures = '', limit = ''] = process.argv.slice(2);
const store = await openStore(storePlace(dataDir, process.env));
let entered = 0;
for (let index = 0; index < Number(failures); index++) {
  const { before, after } = await store.jobs.record({
    job: 'shop',
    occurrence: 'failed',
    at: new Date(),
    deadLetterAfter: Number(limit),
  });
  if (before.state !== 'dead-lettered' && after.state === 'dead-lettered') entered += 1;
}
await store.close();
process.stdout.write(String(entered));
