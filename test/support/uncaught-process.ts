import { setTimeout as wait } from 'node:timers/promises';
import { startTestRuntime } from './embedded.ts';
import { node, TAB } from './flows.ts';

/**
 * A process that lets a node throw out of a timer, goes on, stops Node-RED, and prints what it saw. It then
 * has to end by itself.
 */
const reported: string[] = [];
const started = await startTestRuntime([TAB, node('t', 'test-timer')], {
  http: { port: 0 },
  onUncaught: (error) => reported.push(error.message),
});
started.runtime.fire('t');
await wait(50);
const errors = started.lines
  .filter((line) => line.level === 'error')
  .map((line) => line.message.split('\n')[0]);
await started.stop();
console.log(JSON.stringify({ reported, errors }));
