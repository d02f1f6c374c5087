import type { ListMultipartUploadsCommandOutput, MultipartUpload } from '@aws-sdk/client-s3';
import { BackupError, throwIfAborted } from '../../errors.ts';
import type { ObjectInfo } from '../driver.ts';
import { isS3Code } from './failures.ts';
import { isActiveUpload, removeUpload } from './multipart.ts';
import { answered, placeOf } from './object-place.ts';
import type { S3Store } from './store.ts';

/** An upload that was begun and neither completed nor aborted. */
interface OpenUpload {
  readonly path: string;
  readonly id: string;
  readonly begun: Date;
}

/**
 * See the port's `sweep`: aborts uploads below our folder that no process of ours goes on with. An upload is as
 * old as its latest part, by the clock of the server.
 */
export async function sweepUploads(
  store: S3Store,
  olderThan: Date,
  signal: AbortSignal,
  isOurs: (path: string) => boolean = () => true,
): Promise<string[]> {
  throwIfAborted(signal);
  const swept: string[] = [];
  for (const upload of await openUploads(store, '', signal)) {
    const limit = new Date(olderThan.getTime() + store.clockOffset);
    if (upload.begun >= limit || isActiveUpload(upload.id) || !isOurs(upload.path)) continue;
    const { latest } = await arrivedParts(store, upload, signal);
    if (latest !== undefined && latest >= limit) continue;
    await removeUpload(store, placeOf(store, upload.path), upload.id, signal);
    swept.push(upload.path);
  }
  return swept;
}

/** See the port's `unfinished`: open uploads, with the time of their latest part by our clock. */
export async function* listUploads(
  store: S3Store,
  prefix: string,
  signal: AbortSignal,
): AsyncGenerator<ObjectInfo, void> {
  throwIfAborted(signal);
  for (const upload of await openUploads(store, prefix, signal)) {
    const { bytes, latest = upload.begun } = await arrivedParts(store, upload, signal);
    yield { path: upload.path, bytes, modified: new Date(latest.getTime() - store.clockOffset) };
  }
}

async function openUploads(store: S3Store, prefix: string, signal: AbortSignal): Promise<OpenUpload[]> {
  const found: OpenUpload[] = [];
  let after: { KeyMarker: string; UploadIdMarker?: string } | undefined;
  do {
    const page = await uploadsPage(store, prefix, after, signal);
    for (const upload of page.Uploads ?? []) {
      const open = openUpload(store, upload);
      if (open !== undefined) found.push(open);
    }
    after = nextPage(store, page, after?.KeyMarker, after?.UploadIdMarker);
  } while (after !== undefined);
  return found;
}

async function uploadsPage(
  store: S3Store,
  prefix: string,
  after: { KeyMarker: string; UploadIdMarker?: string } | undefined,
  signal: AbortSignal,
): Promise<ListMultipartUploadsCommandOutput> {
  return await store.call(
    async ({ client, library, signal: abortSignal }) => {
      const command = new library.ListMultipartUploadsCommand({
        Bucket: store.bucket,
        Prefix: store.keys.folderKey(prefix),
        ...after,
      });
      const page = await client.send(command, { abortSignal });
      answered(store, page.IsTruncated);
      return page;
    },
    {
      signal,
      doing: `list the open uploads of ${store.nameOf(prefix)}`,
      permission: 's3:ListBucketMultipartUploads',
    },
  );
}

function nextPage(
  store: S3Store,
  page: ListMultipartUploadsCommandOutput,
  key: string | undefined,
  id: string | undefined,
): { KeyMarker: string; UploadIdMarker?: string } | undefined {
  if (page.IsTruncated !== true) return undefined;
  const { NextKeyMarker, NextUploadIdMarker } = page;
  if (!NextKeyMarker || (NextKeyMarker === key && NextUploadIdMarker === id)) {
    throw new BackupError(
      'incomplete',
      `${store.server} listed only a part of the open uploads of ${store.location}`,
    );
  }
  return { KeyMarker: NextKeyMarker, ...(NextUploadIdMarker ? { UploadIdMarker: NextUploadIdMarker } : {}) };
}

function openUpload(store: S3Store, { Key, UploadId, Initiated }: MultipartUpload): OpenUpload | undefined {
  const path = Key === undefined ? undefined : store.keys.pathOf(Key);
  if (path === undefined || UploadId === undefined || Initiated === undefined) return undefined;
  return { path, id: UploadId, begun: Initiated };
}

/** The size of its parts, and when the latest arrived; without that when it has none, or was ended meanwhile. */
async function arrivedParts(
  store: S3Store,
  upload: OpenUpload,
  signal: AbortSignal,
): Promise<{ readonly bytes: number; readonly latest?: Date }> {
  const { request, name } = placeOf(store, upload.path);
  let latest: Date | undefined;
  let bytes = 0;
  let after: string | undefined;
  do {
    try {
      const page = await store.call(
        async ({ client, library, signal: abortSignal }) => {
          const command = new library.ListPartsCommand({
            ...request,
            UploadId: upload.id,
            ...(after === undefined ? {} : { PartNumberMarker: after }),
          });
          return await client.send(command, { abortSignal });
        },
        { signal, doing: `list the parts of ${name}`, permission: 's3:ListMultipartUploadParts' },
      );
      for (const { LastModified, Size = 0 } of page.Parts ?? []) {
        bytes += Size;
        if (LastModified !== undefined && (latest === undefined || LastModified > latest))
          latest = LastModified;
      }
      const next = page.IsTruncated === true ? page.NextPartNumberMarker : undefined;
      after = next === after ? undefined : next;
    } catch (error) {
      if (isS3Code(error, 'NoSuchUpload')) return { bytes: 0 };
      throw error;
    }
  } while (after !== undefined);
  return latest === undefined ? { bytes } : { bytes, latest };
}
