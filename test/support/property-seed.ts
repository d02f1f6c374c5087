import fc from 'fast-check';

/*
 * Property tests try the same inputs each time, so that what fails was broken by the change at hand.
 * DBACKUP_TEST_SEED is another seed, or `random` to look for what nobody has found yet.
 */
const { DBACKUP_TEST_SEED: wanted = '20261122' } = process.env;
const seed = wanted === 'random' ? Math.trunc(Math.random() * 2 ** 31) : Number(wanted);
if (!Number.isInteger(seed)) throw new Error(`DBACKUP_TEST_SEED is ${wanted}: a whole number, or random`);
fc.configureGlobal({ seed });
