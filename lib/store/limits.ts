/** How long a process that shares a store may be silent before it is taken for dead, in seconds. */
export const LEASE_SECONDS = { default: 60, least: 5, most: 3_600 } as const;

/** How many days, and how many runs of each job, the history keeps; 0: all. */
export const HISTORY_DAYS = { default: 400, least: 0, most: 1_000_000 } as const;
export const HISTORY_RUNS = { default: 5_000, least: 0, most: 1_000_000 } as const;
