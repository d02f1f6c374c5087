import fc from 'fast-check';
import type { Fault } from './faulty-destination.ts';
import type { TransformFault } from './faulty-transform.ts';
import type { Script } from './scripted-source.ts';

/** A step that a random plan may hold; equal names are the same node. */
export type StepName = 'zstd' | 'gzip' | 'brotli' | 'checksum' | 'encrypt' | 'age' | TransformFault;

export interface RandomBranch {
  readonly steps: readonly StepName[];
  readonly faults: readonly Fault[];
  readonly removesNothing: boolean;
  readonly throttled: boolean;
}

export interface RandomRun {
  readonly sources: readonly (readonly Script[])[];
  /** How many databases are dumped at a time; one when absent. */
  readonly lane?: number;
  readonly branches: readonly RandomBranch[];
  /** Cancelled after so many ms, or at so many calls of the destinations; not at all when absent. */
  readonly cancel?: { readonly afterMs: number } | { readonly atCall: number };
}

const KIB = 1024;
const sizes = fc.oneof(fc.constant(0), fc.integer({ min: 1, max: 3000 * KIB }));

const passing: fc.Arbitrary<Partial<Script>> = fc
  .record({
    how: fc.constantFrom<'start' | 'break' | 'die' | 'proof'>('start', 'break', 'die', 'proof'),
    times: fc.integer({ min: 1, max: 3 }),
  })
  .map((drawn) => ({ passing: drawn }));
const listingFailures = fc.integer({ min: 1, max: 3 }).map((times) => ({ listingFailures: times }));

const scriptFaults: fc.Arbitrary<Partial<Script>> = fc.oneof(
  { weight: 30, arbitrary: fc.constant({}) },
  { weight: 3, arbitrary: sizes.map((breaksAfter) => ({ breaksAfter })) },
  { weight: 3, arbitrary: sizes.map((diesAfter) => ({ diesAfter })) },
  { weight: 3, arbitrary: fc.constant({ proofFails: true }) },
  { weight: 3, arbitrary: fc.constant({ refusesToStart: true }) },
  { weight: 3, arbitrary: passing },
  { weight: 1, arbitrary: listingFailures },
  { weight: 1, arbitrary: fc.constant({ listing: 'fails' as const }) },
  // These end with a cancellation only.
  { weight: 1, arbitrary: fc.constant({ listing: 'hangs' as const }) },
  { weight: 1, arbitrary: fc.constant({ startHangs: true }) },
  { weight: 1, arbitrary: fc.constant({ proofHangs: true }) },
  { weight: 1, arbitrary: sizes.map((hangsAfter) => ({ hangsAfter })) },
);

function sourcesWith(faulty: fc.Arbitrary<Partial<Script>>): fc.Arbitrary<Script[][]> {
  return fc
    .array(fc.array(fc.record({ bytes: sizes, faults: faulty }), { minLength: 1, maxLength: 4 }), {
      minLength: 1,
      maxLength: 2,
    })
    .map((lists) =>
      lists.map((list, at) =>
        list.map(({ bytes, faults }, index): Script => ({ name: `db-${at}-${index}`, bytes, ...faults })),
      ),
    );
}

const goodSteps = fc.constantFrom<StepName>('zstd', 'gzip', 'brotli', 'checksum', 'encrypt', 'age');

const steps: fc.Arbitrary<StepName[]> = fc.uniqueArray(
  fc.oneof(
    { weight: 8, arbitrary: goodSteps },
    {
      weight: 1,
      arbitrary: fc.constantFrom<StepName>('opens-not', 'fails', 'dies', 'stops', 'no-record'),
    },
  ),
  { maxLength: 3 },
);

const fault: fc.Arbitrary<Fault> = fc.record({
  file: fc.constantFrom('db-0-0', 'db-0-1', 'db-', 'SHA256SUMS', 'RESTORE.md', 'manifest.json'),
  kind: fc.oneof(
    {
      weight: 6,
      arbitrary: fc.constantFrom<Fault['kind']>('throws', 'error', 'short', 'commit-error', 'commit-lost'),
    },
    { weight: 1, arbitrary: fc.constantFrom<Fault['kind']>('hang', 'commit-late', 'commit-hang') },
  ),
  afterBytes: fc.integer({ min: 0, max: 500 * KIB }),
  lateMs: fc.constantFrom(1, 50, 2500),
  times: fc.integer({ min: 1, max: 2 }),
});

const branch: fc.Arbitrary<RandomBranch> = fc.record({
  steps,
  faults: fc.oneof(
    { weight: 2, arbitrary: fc.constant([]) },
    { weight: 1, arbitrary: fc.array(fault, { maxLength: 2 }) },
  ),
  removesNothing: fc.oneof(
    { weight: 9, arbitrary: fc.constant(false) },
    { weight: 1, arbitrary: fc.constant(true) },
  ),
  throttled: fc.oneof(
    { weight: 9, arbitrary: fc.constant(false) },
    { weight: 1, arbitrary: fc.constant(true) },
  ),
});

const cancel = fc.oneof(
  { weight: 2, arbitrary: fc.constant(undefined) },
  { weight: 1, arbitrary: fc.integer({ min: 0, max: 200 }).map((afterMs) => ({ afterMs })) },
  { weight: 2, arbitrary: fc.integer({ min: 1, max: 60 }).map((atCall) => ({ atCall })) },
);

/** Random sources with random faults, a random tree of steps, destinations with faults, a cancellation. */
export const randomRun: fc.Arbitrary<RandomRun> = fc
  .record({
    sources: sourcesWith(scriptFaults),
    lane: fc.constantFrom(undefined, 2, 3),
    // Chains drawn from few: so that branches share their beginnings, and some are equal.
    chains: fc.array(steps, { minLength: 1, maxLength: 2 }),
    branches: fc.array(fc.record({ branch, share: fc.nat(), keep: fc.integer({ min: 0, max: 3 }) }), {
      minLength: 1,
      maxLength: 4,
    }),
    cancel,
  })
  .map((drawn) => ({
    sources: drawn.sources,
    ...(drawn.lane === undefined ? {} : { lane: drawn.lane }),
    branches: drawn.branches.map(({ branch: own, share, keep }) => {
      const shared = drawn.chains[share % drawn.chains.length]?.slice(0, keep) ?? [];
      const rest = own.steps.filter((name) => !shared.includes(name));
      return { ...own, steps: share % 3 === 0 ? [...shared, ...rest] : shared };
    }),
    ...(drawn.cancel === undefined ? {} : { cancel: drawn.cancel }),
  }));

/** The kinds of faults of a destination that pass. */
const passingFault: fc.Arbitrary<Fault> = fc.record({
  file: fc.constantFrom('db-0-0', 'db-0-1', 'db-', 'SHA256SUMS', 'RESTORE.md', 'manifest.json'),
  kind: fc.oneof(
    { weight: 9, arbitrary: fc.constantFrom<Fault['kind']>('error', 'short', 'commit-error', 'commit-lost') },
    { weight: 1, arbitrary: fc.constant<Fault['kind']>('hang') },
  ),
  afterBytes: fc.integer({ min: 0, max: 500 * KIB }),
  times: fc.integer({ min: 1, max: 3 }),
});

/** The same, where everything that goes wrong passes by itself. */
export const passingRun: fc.Arbitrary<RandomRun> = fc
  .record({
    sources: sourcesWith(
      fc.oneof(
        { weight: 3, arbitrary: fc.constant({}) },
        { weight: 2, arbitrary: passing },
        { weight: 1, arbitrary: listingFailures },
      ),
    ),
    lane: fc.constantFrom(undefined, 2, 3),
    // Few chains, so that some branches are twins.
    chains: fc.array(fc.uniqueArray(goodSteps, { maxLength: 2 }), { minLength: 1, maxLength: 2 }),
    branches: fc.array(
      fc.record({ chain: fc.nat(), faults: fc.array(passingFault, { minLength: 1, maxLength: 3 }) }),
      { minLength: 1, maxLength: 4 },
    ),
  })
  .map(({ lane, chains, branches, ...drawn }) => ({
    ...drawn,
    ...(lane === undefined ? {} : { lane }),
    branches: branches.map(({ chain, faults }) => ({
      steps: chains[chain % chains.length] ?? [],
      faults,
      removesNothing: false,
      throttled: false,
    })),
  }));

/** Some things of a run never end by themselves: then it has to be cancelled. */
export function hangs({ sources: all }: RandomRun): boolean {
  return all
    .flat()
    .some(
      ({ listing, startHangs, proofHangs, hangsAfter }) =>
        listing === 'hangs' || startHangs || proofHangs || hangsAfter !== undefined,
    );
}
