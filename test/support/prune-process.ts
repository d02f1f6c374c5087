import { text } from 'node:stream/consumers';
import { setTimeout as wait } from 'node:timers/promises';
import type { DestinationDriver } from '../../lib/destinations/driver.ts';
import { policyOf } from '../../lib/retention/options.ts';
import { prune } from '../../lib/retention/prune.ts';
import { WatchedDestination } from './watched-destination.ts';

// Usage: prune-process.ts <module> <function> <step>, and the driver's options as JSON on stdin. Prunes the job shop, and
// stops before that step of all that change the storage (from 1): it says what it would do, and waits to be killed. Says
// "done" when there are not so many.
const [, , module = '', name = '', wanted = ''] = process.argv;

const options: unknown = JSON.parse(await text(process.stdin));
const exports: Record<string, (options: unknown) => DestinationDriver> = await import(module);
const create = exports[name];
if (create === undefined) throw new Error(`${module} exports no ${name}`);
const driver = new WatchedDestination(create(options));
let left = Number(wanted);
driver.before = async (step, path) => {
  if (!['write', 'commit', 'remove'].includes(step)) return;
  left -= 1;
  if (left > 0) return;
  process.stdout.write(`${step} ${path}\n`);
  await wait(3_600_000);
};
const { signal } = new AbortController();
const policy = policyOf({ keepLast: 1, zone: 'UTC' });
const { error } = await prune({ driver, prefix: '', job: 'shop', policy, remove: true, signal });
process.stdout.write(`${error?.message ?? 'done'}\n`);
process.exit(0);
