import assert from 'node:assert/strict';
import { chmod, mkdir, mkdtemp, rm, symlink, utimes, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { delimiter, join } from 'node:path';
import { findPostgresTool } from '../../lib/sources/postgres/tools.ts';

const running = new AbortController().signal;

describe('finding the tools of PostgreSQL', () => {
  let home: string;
  const path = process.env.PATH;

  beforeEach(async () => {
    home = await mkdtemp(join(tmpdir(), 'dbackup-postgres-tools-'));
  });
  afterEach(async () => {
    process.env.PATH = path;
    await rm(home, { recursive: true, force: true });
  });

  /** A folder with a `pg_dump` that answers so when it is asked for its version. */
  async function tool(name: string, answer: string): Promise<string> {
    const folder = join(home, name);
    await mkdir(folder, { recursive: true });
    const program = join(folder, 'pg_dump');
    await writeFile(program, `#!/bin/sh\n${answer}\n`);
    await chmod(program, 0o755);
    return folder;
  }

  const version = (number: string) => `echo 'pg_dump (PostgreSQL) ${number} (of a test)'`;

  function search(...folders: readonly string[]): void {
    process.env.PATH = [...folders, path].join(delimiter);
  }

  // Versions that no machine has, since the places where packages put theirs are looked into, too.
  it('takes the oldest that is not older than the server, of that the newest release', async () => {
    search(
      await tool('newest', version('9003.1')),
      await tool('old', version('9000.9')),
      await tool('first', version('9001.2')),
      await tool('second', version('9001.10')),
    );
    const found = await findPostgresTool('pg_dump', { folder: '', atLeast: 9001 }, running);
    assert.deepEqual(found, { path: join(home, 'second/pg_dump'), version: '9001.10', major: 9001 });
    const newer = await findPostgresTool('pg_dump', { folder: '', atLeast: 9002 }, running);
    assert.equal(newer.major, 9003);
  });

  it('understands versions that are not released yet', async () => {
    const folder = await tool('beta', version('9001beta2'));
    const found = await findPostgresTool('pg_dump', { folder, atLeast: 9001 }, running);
    assert.equal(`${found.version} ${found.major}`, '9001beta2 9001');
  });

  it('uses a given folder alone', async () => {
    search(await tool('good', version('9001.1')));
    const folder = await tool('given', version('9000.1'));
    const demand = { folder, atLeast: 9001, serverVersion: '9001.4' };
    await assert.rejects(findPostgresTool('pg_dump', demand, running), {
      code: 'unavailable',
      message: /^PostgreSQL server 9001\.4 is newer than pg_dump 9000\.1 \(.*given\/pg_dump\): set a folder/,
    });
    await assert.rejects(findPostgresTool('psql', demand, running), {
      code: 'unavailable',
      message: /^There is no psql in .*given: correct the folder of the tools/,
    });
  });

  it('says what to install', async () => {
    search(await tool('old', version('9000.1')));
    const demand = { folder: '', atLeast: 9001, serverVersion: '9001.4' };
    await assert.rejects(findPostgresTool('pg_dump', demand, running), {
      message:
        /^PostgreSQL server 9001\.4 is newer than pg_dump 9000\.1 .*: install postgresql-client-9001 or set its path/,
    });
  });

  it('passes over what does not work, and names it when nothing else is there', async () => {
    const broken = await tool('broken', 'exit 1');
    const strange = await tool('strange', 'echo hello');
    const good = await tool('good', version('9001.1'));
    search(broken, strange, good);
    const { path: found } = await findPostgresTool('pg_dump', { folder: '', atLeast: 9001 }, running);
    assert.equal(found, join(good, 'pg_dump'));
    await assert.rejects(findPostgresTool('pg_dump', { folder: broken, atLeast: 1 }, running), {
      message: /no pg_dump that works \(.*exit code 1.*\) in .*broken/,
    });
    await assert.rejects(findPostgresTool('pg_dump', { folder: strange, atLeast: 1 }, running), {
      message: /strange\/pg_dump is no pg_dump: it calls itself hello/,
    });
  });

  it('passes over the wrapper of Debian, which would choose a version by itself', async () => {
    const folder = await tool('wrapped', version('9001.1'));
    await writeFile(join(home, 'pg_wrapper'), `#!/bin/sh\n${version('9001.1')}\n`);
    await chmod(join(home, 'pg_wrapper'), 0o755);
    await rm(join(folder, 'pg_dump'));
    await symlink(join(home, 'pg_wrapper'), join(folder, 'pg_dump'));
    await assert.rejects(findPostgresTool('pg_dump', { folder, atLeast: 1 }, running), /no pg_dump/);
  });

  it('notices a tool that was replaced', async () => {
    const folder = await tool('updated', version('9001.1'));
    await findPostgresTool('pg_dump', { folder, atLeast: 1 }, running);
    await tool('updated', version('9002.1'));
    await utimes(join(folder, 'pg_dump'), new Date(), new Date('2030-01-01'));
    const { major } = await findPostgresTool('pg_dump', { folder, atLeast: 1 }, running);
    assert.equal(major, 9002);
  });

  it('stops with the abort', async () => {
    const folder = await tool('slow', 'sleep 600');
    const abort = new AbortController();
    const finding = findPostgresTool('pg_dump', { folder, atLeast: 1 }, abort.signal);
    finding.catch(() => undefined);
    abort.abort();
    await assert.rejects(finding, { code: 'aborted' });
  });
});
