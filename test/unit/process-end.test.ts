import assert from 'node:assert/strict';
import { whenProcessEnds } from '../../nodes/process-end.ts';

describe('end of the process that Node-RED runs in', () => {
  const ignore = () => undefined;

  it('is told of each time it is asked for, by signals and by a message, before others hear of it', () => {
    const told: string[] = [];
    const other = () => told.push('Node-RED');
    process.on('SIGHUP', other).on('message', ignore);
    const release = whenProcessEnds(() => told.push('DBackup'));
    process.emit('SIGHUP', 'SIGHUP');
    process.emit('SIGHUP', 'SIGHUP');
    process.emit('message', 'shutdown', undefined);
    process.emit('message', 'something else', undefined);
    release();
    process.emit('SIGHUP', 'SIGHUP');
    process.off('SIGHUP', other).off('message', ignore);
    assert.deepEqual(told, ['DBackup', 'Node-RED', 'DBackup', 'Node-RED', 'DBackup', 'Node-RED']);
  });

  it('is left to the system where nobody listens', () => {
    const before = process.listenerCount('SIGUSR2');
    assert.equal(before, 0);
    const release = whenProcessEnds(ignore);
    assert.equal(process.listenerCount('SIGUSR2'), 0);
    release();
  });
});
