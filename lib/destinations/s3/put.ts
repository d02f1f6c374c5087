import type { ObjectFields } from './object-fields.ts';
import { answered, type ObjectPlace } from './object-place.ts';
import type { Part } from './part.ts';
import type { S3Store } from './store.ts';

export interface PutOptions {
  readonly fields: ObjectFields;
  /** The server is to refuse when there is such an object already. */
  readonly onlyNew: boolean;
  readonly signal: AbortSignal;
}

/** Stores an object with one request: it is visible then, whole. */
export async function putObject(
  store: S3Store,
  place: ObjectPlace,
  part: Part,
  { fields, onlyNew, signal }: PutOptions,
): Promise<void> {
  await store.call(
    async ({ client, library, signal: abortSignal, progress }) => {
      const Body = part.body(progress);
      try {
        const command = new library.PutObjectCommand({
          ...place.request,
          ...fields,
          ...part.checksums,
          ...(onlyNew ? { IfNoneMatch: '*' } : {}),
          Body,
          ContentLength: part.bytes,
        });
        answered(store, (await client.send(command, { abortSignal })).ETag);
      } finally {
        Body.destroy();
      }
    },
    { signal, doing: `store ${place.name}`, permission: 's3:PutObject' },
  );
}
