/**
 * How a job is doing. `failing`: its last runs failed. `dead-lettered`: too many did, so that it runs no more by itself
 * until somebody puts it back.
 */
export type JobState = 'healthy' | 'failing' | 'dead-lettered';
