import { orSkip } from '../servers/foreign-suite.ts';
import { annotationTests } from './destination/annotations.ts';
import { commitTests } from './destination/commit.ts';
import { failureTests } from './destination/failures.ts';
import { type DestinationFixture, Harness } from './destination/fixture.ts';
import { listingTests } from './destination/listing.ts';
import { loadTests } from './destination/load.ts';
import { nameTests } from './destination/names.ts';
import { readingTests } from './destination/reading.ts';

export type { BrokenStorage, DestinationFixture, OpenStorage } from './destination/fixture.ts';

/** Registers the tests that every destination driver must pass, against a real storage. */
export function describeDestination(fixture: DestinationFixture): void {
  describe(`destination: ${fixture.name}`, () => {
    const harness = new Harness(fixture);
    let started = false;
    before(async function () {
      this.timeout(fixture.startMs ?? 240_000);
      await orSkip(this, async () => await fixture.start?.());
      started = true;
    });
    after(async function () {
      this.timeout(240_000);
      if (started) await fixture.stop?.();
    });
    beforeEach(async () => await harness.open());
    afterEach(async () => await harness.close());

    commitTests(harness);
    annotationTests(harness);
    failureTests(harness);
    listingTests(harness);
    readingTests(harness);
    nameTests(harness);
    loadTests(harness);
  });
}
