import { open, readFile } from 'node:fs/promises';
import type { SFTPWrapper } from 'ssh2';
import { connectSsh } from '../../../lib/ssh/connection.ts';
import type { SshOptions } from '../../../lib/ssh/options.ts';

/*
 * sftp-serial.ts <settings.json> <upload|download> <file> <object>: one object, one request of 32 KiB after the
 * other; a download is thrown away.
 */
const CHUNK_BYTES = 32 * 1024;

const [, , settings = '', direction = '', file = '', object = ''] = process.argv;
const options = JSON.parse(await readFile(settings, 'utf8')) as SshOptions & { readonly root: string };
const connection = await connectSsh(options, new AbortController().signal);
const sftp = await connection.sftp();
const path = `${options.root}/${object}`;
if (direction === 'upload') await upload(sftp);
else await download(sftp);
await connection.close();

async function upload(session: SFTPWrapper): Promise<void> {
  const source = await open(file, 'r');
  const handle = await answer<Buffer>((done) => session.open(path, 'w', done));
  const chunk = Buffer.alloc(CHUNK_BYTES);
  for (let position = 0; ; ) {
    const { bytesRead } = await source.read(chunk, 0, chunk.length, position);
    if (bytesRead === 0) break;
    const at = position;
    await answer((done) => session.write(handle, chunk, 0, bytesRead, at, (error) => done(error, undefined)));
    position += bytesRead;
  }
  await answer((done) => session.close(handle, (error) => done(error, undefined)));
  await source.close();
}

async function download(session: SFTPWrapper): Promise<void> {
  const handle = await answer<Buffer>((done) => session.open(path, 'r', done));
  const chunk = Buffer.alloc(CHUNK_BYTES);
  for (let position = 0; ; ) {
    const at = position;
    const read = await answer<number>((done) => session.read(handle, chunk, 0, chunk.length, at, done));
    if (read === 0) break;
    position += read;
  }
}

function answer<T>(send: (done: (error: Error | null | undefined, value: T) => void) => void): Promise<T> {
  return new Promise((resolve, reject) => {
    send((error, value) => {
      if (error) reject(error);
      else resolve(value);
    });
  });
}
