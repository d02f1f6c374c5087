import assert from 'node:assert/strict';
import fc from 'fast-check';
import { type JobOccurrence, type JobStanding, NEW_JOB, nextStanding } from '../../lib/runs/jobs.ts';

const OCCURRENCES: readonly JobOccurrence[] = ['succeeded', 'partial', 'failed', 'cancelled', 'requeued'];

const lives = fc.array(fc.constantFrom(...OCCURRENCES), { maxLength: 30 });
const limit = fc.nat({ max: 6 });

function standingAfter(occurrences: readonly JobOccurrence[], deadLetterAfter: number): JobStanding {
  return occurrences.reduce(
    (standing, occurrence) => nextStanding(standing, occurrence, deadLetterAfter),
    NEW_JOB,
  );
}

/** Failures since the last success or requeue, without what says nothing. */
function failuresAtTheEnd(occurrences: readonly JobOccurrence[]): number {
  const since = Math.max(occurrences.lastIndexOf('succeeded'), occurrences.lastIndexOf('requeued'));
  return occurrences.slice(since + 1).filter((occurrence) => occurrence === 'failed').length;
}

describe('the standing of a job', () => {
  it('follows from the failures since its last success, whatever has happened before and between', () => {
    fc.assert(
      fc.property(lives, limit, (occurrences, deadLetterAfter) => {
        const failures = failuresAtTheEnd(occurrences);
        const isDead = deadLetterAfter > 0 && failures >= deadLetterAfter;
        const state = isDead ? 'dead-lettered' : failures > 0 ? 'failing' : 'healthy';
        assert.deepEqual(standingAfter(occurrences, deadLetterAfter), { state, failures });
      }),
    );
  });

  it('is entered as a dead letter once between two successes, and left by nothing but a success or a person', () => {
    fc.assert(
      fc.property(lives, fc.integer({ min: 1, max: 6 }), (occurrences, deadLetterAfter) => {
        let standing = NEW_JOB;
        for (const occurrence of occurrences) {
          const next = nextStanding(standing, occurrence, deadLetterAfter);
          if (next.state === 'dead-lettered' && standing.state !== 'dead-lettered') {
            assert.equal(occurrence, 'failed');
            assert.equal(next.failures, deadLetterAfter, 'neither sooner nor later');
          }
          if (standing.state === 'dead-lettered' && next.state !== 'dead-lettered') {
            assert.ok(occurrence === 'succeeded' || occurrence === 'requeued', occurrence);
          }
          standing = next;
        }
      }),
    );
  });

  it('stays a dead letter when the limit is raised, and is none where there is no limit', () => {
    const dead = standingAfter(['failed', 'failed', 'failed'], 3);
    assert.deepEqual(nextStanding(dead, 'failed', 10), { state: 'dead-lettered', failures: 4 });
    assert.deepEqual(nextStanding(dead, 'failed', 0), { state: 'failing', failures: 4 });
  });

  it('is a dead letter at the next failure when the limit was lowered below those that there are', () => {
    const failing = standingAfter(['failed', 'failed', 'failed'], 9);
    assert.deepEqual(nextStanding(failing, 'failed', 2), { state: 'dead-lettered', failures: 4 });
  });
});
