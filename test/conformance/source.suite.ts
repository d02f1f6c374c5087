import assert from 'node:assert/strict';
import { orSkip } from '../servers/foreign-suite.ts';
import { cancellationTests } from './source/cancellation.ts';
import { dumpTests } from './source/dump.ts';
import { type SourceFixture, SourceHarness } from './source/fixture.ts';
import { restoreTests } from './source/restore.ts';

export type { OpenSource, SourceFixture } from './source/fixture.ts';

/** Registers the tests that every source driver must pass, against a real database. */
export function describeSource(fixture: SourceFixture): void {
  describe(`source: ${fixture.name}`, () => {
    const harness = new SourceHarness(fixture);
    before(async function () {
      this.timeout(fixture.startMs ?? 240_000);
      await orSkip(this, () => harness.open());
    });
    after(async () => await harness.close());
    beforeEach(() => harness.expectNothingLeft());
    afterEach(async () => await harness.requireNothingLeft());

    it('has a kind that can stand in a manifest', () => {
      assert.match(harness.source.kind, /^[a-z][a-z0-9-]*$/);
    });

    dumpTests(harness);
    restoreTests(harness);
    cancellationTests(harness);
  });
}
