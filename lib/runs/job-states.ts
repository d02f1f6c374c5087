/**
 * How a job is doing. `failing`: its last runs failed. `dead-lettered`: too many did, so that it runs no more by itself
 * until somebody puts it back.
 */
export const JOB_STATES = ['healthy', 'failing', 'dead-lettered'] as const;

export type JobState = (typeof JOB_STATES)[number];
