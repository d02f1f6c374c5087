import assert from 'node:assert/strict';
import fc from 'fast-check';
import { BackupError, type ErrorCode } from '../../lib/errors.ts';
import type { FinalState } from '../../lib/runs/states.ts';
import { EXIT, exitCodeOf, startExitCodeOf } from '../../runner/exit-codes.ts';
import { exitCodeOfRun } from '../../runner/run-outcome.ts';

describe('exit codes', () => {
  const ended = (states: FinalState[], nodeErrors = 0, deadlinePassed = false, tasks = 0) =>
    exitCodeOfRun({ states, nodeErrors, deadlinePassed, tasks });

  it('are the documented numbers', () => {
    assert.deepEqual(EXIT, {
      ok: 0,
      failed: 1,
      usage: 2,
      notStarted: 3,
      deadline: 4,
      partial: 5,
      interrupted: 130,
      terminated: 143,
    });
  });

  it('say how the runs of a flow ended', () => {
    assert.equal(ended(['succeeded']), 0);
    assert.equal(ended(['succeeded', 'succeeded']), 0);
    assert.equal(ended(['failed']), 1);
    assert.equal(ended(['cancelled']), 1);
    assert.equal(ended(['partial']), 5);
    assert.equal(ended(['succeeded', 'partial']), 5);
    assert.equal(ended(['partial', 'failed']), 1);
  });

  it('never call a flow ok that did nothing', () => {
    assert.equal(ended([]), 1);
    assert.equal(ended([], 1), 1);
  });

  it('say how restores and verifications ended', () => {
    assert.equal(ended([], 0, false, 1), 0);
    assert.equal(ended([], 1, false, 1), 5);
    assert.equal(ended(['failed'], 0, false, 1), 1);
  });

  it('count an error of a node after the backup', () => {
    assert.equal(ended(['succeeded'], 1), 5);
    assert.equal(ended(['failed'], 3), 1);
  });

  it('put the deadline before all else', () => {
    assert.equal(ended(['cancelled'], 1, true), 4);
    assert.equal(ended([], 0, true), 4);
  });

  it('are 0 only when every run succeeded and no node failed', () => {
    const states = fc.array(fc.constantFrom<FinalState>('succeeded', 'partial', 'failed', 'cancelled'));
    fc.assert(
      fc.property(states, fc.nat(2), fc.boolean(), (all, nodeErrors, late) => {
        const fine =
          all.length > 0 && all.every((state) => state === 'succeeded') && nodeErrors === 0 && !late;
        assert.equal(ended(all, nodeErrors, late) === 0, fine);
      }),
    );
  });

  it('tell wrong input from a host that cannot', () => {
    const of = (code: ErrorCode) => new BackupError(code, 'x');
    assert.equal(exitCodeOf(of('invalid-config')), 2);
    assert.equal(exitCodeOf(of('corrupt')), 1);
    assert.equal(exitCodeOf(of('wrong-key')), 1);
    assert.equal(startExitCodeOf(of('invalid-config')), 2);
    assert.equal(startExitCodeOf(of('unavailable')), 3);
    assert.equal(startExitCodeOf(of('permission')), 3);
  });
});
