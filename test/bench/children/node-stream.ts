import { createCipheriv, createHash, randomBytes } from 'node:crypto';
import { createReadStream, createWriteStream } from 'node:fs';
import { writeFile } from 'node:fs/promises';
import { Transform } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { constants, createZstdCompress } from 'node:zlib';

/* node-stream.ts <file> <output>: what one would write in Node: a zstd stream, one GCM stream, a hash, a file. */
const [, , file = '', output = ''] = process.argv;
const hash = createHash('sha256');
const hashing = new Transform({
  transform(chunk: Buffer, _encoding, done) {
    hash.update(chunk);
    done(null, chunk);
  },
});
await pipeline(
  createReadStream(file),
  createZstdCompress({ params: { [constants.ZSTD_c_compressionLevel]: 3 } }),
  createCipheriv('aes-256-gcm', randomBytes(32), randomBytes(12)),
  hashing,
  createWriteStream(output),
);
await writeFile(`${output}.sha256`, hash.digest('hex'));
