import { describeDestination } from './destination.suite.ts';
import { cephFixture } from './s3/fixture.ts';

const MIB = 1024 * 1024;

// What differs from the older one: parts and the whole checked by CRC-32, uploads completed on a condition.
describeDestination({
  ...cephFixture('s3 on the newest Ceph', { suite: 'sid' }, { checksum: 'crc32' }),
  startMs: 20 * 60_000,
  listedObjects: 1500,
  largeObjectBytes: 64 * MIB,
});
