import type { Annotations } from '../lib/backupset/annotation-format.ts';
import { annotationsOf, type StoredAnnotations } from '../lib/backupset/annotations.ts';
import type { BackupSet } from '../lib/backupset/reader.ts';
import { isSuspicious } from '../lib/backupset/suspicion.ts';
import { errorJson } from './output.ts';

/** Sets whose annotations are read at once. */
const PARALLEL_READS = 8;

export interface AnnotatedSet {
  readonly set: BackupSet;
  readonly annotations: StoredAnnotations;
}

/** Reads the annotations of each set, and keeps their order. */
export async function withAnnotations(
  sets: readonly BackupSet[],
  signal: AbortSignal,
): Promise<AnnotatedSet[]> {
  const annotated: AnnotatedSet[] = [];
  const queue = sets.entries();
  const readNext = async (): Promise<void> => {
    for (const [index, set] of queue)
      annotated[index] = { set, annotations: await annotationsOf(set, { signal }) };
  };
  await Promise.all(Array.from({ length: PARALLEL_READS }, readNext));
  return annotated;
}

/** What people are told of a set in one cell: `pinned, known bad, v1, pre-migration`. */
export function annotationCell({ value, error }: StoredAnnotations): string {
  if (error !== undefined) return `unreadable annotations: ${error.message}`;
  return [
    ...(value.pinned ? ['pinned'] : []),
    ...(value.knownBad === undefined ? [] : ['KNOWN BAD']),
    ...(isSuspicious(value) ? ['SUSPICIOUS'] : []),
    ...value.tags,
  ].join(', ');
}

/** The same for programs. */
export function annotationFields({ value, error }: StoredAnnotations) {
  const { tags, note, pinned, knownBad, suspicious } = value;
  return {
    tags: [...tags],
    ...(note === undefined ? {} : { note }),
    pinned,
    ...(knownBad === undefined ? {} : { knownBad }),
    ...(suspicious === undefined || !isSuspicious(value) ? {} : { suspicious }),
    ...(error === undefined ? {} : { annotationsError: errorJson(error) }),
  };
}

/** How a set did in its last verification, for people. */
export function lastVerification({ verifications }: Annotations): string | undefined {
  const last = verifications.at(-1);
  if (last === undefined) return undefined;
  const what = last.message === undefined ? '' : `: ${last.message}`;
  return `${last.ok ? 'good' : 'FAILED'} at ${last.at} (level ${last.level}, on ${last.host})${what}`;
}
