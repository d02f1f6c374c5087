import { describeDestination } from './destination.suite.ts';
import { cephFixture } from './s3/fixture.ts';

describeDestination(cephFixture('s3 on the Ceph of Debian 12', {}));
