import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { getEventListeners } from 'node:events';
import { chmod, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { ByteStream } from '../../lib/bytes/stream.ts';
import { BackupError } from '../../lib/errors.ts';
import { feedTool } from '../../lib/tool/feed-tool.ts';
import { withLargeOutput } from '../../lib/tool/large-output.ts';
import { runTool } from '../../lib/tool/run-tool.ts';
import { startToolDump } from '../../lib/tool/tool-dump.ts';
import { type ToolCommand, ToolProcess } from '../../lib/tool/tool-process.ts';
import { childProcesses } from '../support/child-processes.ts';
import { until } from '../support/until.ts';

const NEVER = new AbortController().signal;
const MIB = 1024 * 1024;
const WAIT_MS = 30_000;

/** A tool that is a shell script; `$1` … are further arguments. */
function script(text: string, ...args: string[]): ToolCommand {
  return { program: '/bin/sh', args: ['-c', text, 'sh', ...args], env: {}, subject: 'the tool' };
}

describe('tools of databases as child processes', () => {
  let folder = '';
  let handles = 0;
  /** Those of the test's own tools. */
  let others: number[] = [];
  const tools = () => childProcesses().filter((pid) => !others.includes(pid));

  before(async () => {
    folder = await mkdtemp(join(tmpdir(), 'dbackup-tool-'));
    others = childProcesses();
    handles = openHandles();
  });

  after(() => rm(folder, { recursive: true, force: true }));

  afterEach(async () => {
    // However it ended: no process, no file, no socket is left.
    await until(() => tools().length === 0, WAIT_MS);
    await until(() => openHandles() <= handles, WAIT_MS);
    assert.deepEqual(await pipeFolders(), []);
  });

  describe('dump to stdout', () => {
    it('gives every byte in blocks that serve again, then what the tool said', async () => {
      const dump = startToolDump(script('head -c 20000000 /dev/zero | tr "\\0" x; echo careful >&2'), NEVER);
      const memories = new Set<ArrayBufferLike>();
      let bytes = 0;
      for await (const chunk of dump.stream) {
        bytes += chunk.length;
        assert.ok(chunk.every((byte) => byte === 120));
        memories.add(chunk.buffer);
        dump.stream.release?.(chunk);
      }
      assert.equal(bytes, 20_000_000);
      assert.ok(memories.size <= 6, `${memories.size} blocks were made for 20 MB`);
      assert.deepEqual(await dump.ended, ['careful']);
    });

    it('keeps the order and content of bytes, whatever the sizes of writes', async () => {
      const text = 'i=0; while [ $i -lt 400 ]; do printf "%0*d" $((i * 13 + 1)) $i; i=$((i + 1)); done';
      const { stdout } = await runTool(script(text), NEVER);
      const dump = startToolDump(script(text), NEVER);
      const seen = createHash('sha256');
      const inspected = createHash('sha256');
      const inspecting = startToolDump(script(text), NEVER, (chunk) => inspected.update(chunk));
      for await (const chunk of dump.stream) seen.update(chunk);
      await drain(inspecting.stream);
      const expected = createHash('sha256').update(stdout).digest('hex');
      assert.equal(seen.digest('hex'), expected);
      assert.equal(inspected.digest('hex'), expected);
    });

    it('gives an empty dump of a tool that writes nothing', async () => {
      const dump = startToolDump(script('true'), NEVER);
      assert.equal(await drain(dump.stream), 0);
      assert.deepEqual(await dump.ended, []);
    });

    it('does not hold back what a slow tool has written', async () => {
      const go = join(folder, 'go');
      const dump = startToolDump(
        script('echo first; while [ ! -e "$1" ]; do sleep 0.05; done; echo last', go),
        NEVER,
      );
      const chunks: string[] = [];
      for await (const chunk of dump.stream) {
        chunks.push(chunk.toString());
        if (chunks.length === 1) await writeFile(go, '');
      }
      await rm(go);
      assert.deepEqual(chunks, ['first\n', 'last\n']);
    });

    it('ends a tool that hangs in the middle, or after its last byte, and says so', async () => {
      for (const text of ['echo first; sleep 1000', 'echo first; exec >&-; sleep 1000']) {
        const dump = startToolDump(script(text), NEVER, undefined, 300);
        await assert.rejects(drain(dump.stream), {
          code: 'stalled',
          transient: true,
          message: /the tool has/,
        });
        await assert.rejects(dump.ended, { code: 'stalled' });
      }
    });

    it('waits for ever when it may be silent for ever', async () => {
      const dump = startToolDump(script('sleep 0.3; echo last'), NEVER, undefined, Number.POSITIVE_INFINITY);
      assert.equal(await drain(dump.stream), 5);
      await dump.ended;
    });

    it('does not blame a tool for the silence of a reader that does not ask', async () => {
      const dump = startToolDump(script('head -c 8000000 /dev/zero'), NEVER, undefined, 2_000);
      let bytes = 0;
      for await (const chunk of dump.stream) {
        if (bytes === 0) await new Promise((resolve) => setTimeout(resolve, 2_500));
        bytes += chunk.length;
      }
      assert.equal(bytes, 8_000_000);
    });

    it('makes the tool wait for a reader that takes its time', async () => {
      const progress = join(folder, 'progress');
      const text =
        'i=0; while [ $i -lt 64 ]; do head -c 1048576 /dev/zero; i=$((i + 1)); echo $i > "$1"; done';
      const dump = startToolDump(script(text, progress), NEVER);
      const chunks = dump.stream[Symbol.asyncIterator]();
      let bytes = (await chunks.next()).value?.length ?? 0;
      const written = async () => Number(await readFile(progress, 'utf8').catch(() => '0'));
      // Blocks that are ready, one that is filled, and what the system holds.
      await until(async () => (await written()) >= 2, WAIT_MS);
      let last = -1;
      await until(async () => {
        const before = last;
        last = await written();
        await new Promise((resolve) => setTimeout(resolve, 100));
        return before === last;
      }, WAIT_MS);
      assert.ok(last < 10, `${last} MiB were written for a reader that took one block`);
      for (let next = await chunks.next(); next.done !== true; next = await chunks.next()) {
        bytes += next.value.length;
      }
      assert.equal(bytes, 64 * MIB);
      await dump.ended;
    });

    for (const [what, text, message] of [
      [
        'fails after its last byte',
        'head -c 3000000 /dev/zero; echo why >&2; exit 3',
        /failed with exit code 3: why/,
      ],
      ['is killed', 'head -c 3000000 /dev/zero; kill -9 $$', /was killed \(SIGKILL\)/],
      ['fails before its first byte', 'echo no >&2; exit 1', /failed with exit code 1: no/],
    ] as const) {
      it(`fails at the end of the stream when the tool ${what}`, async () => {
        const dump = startToolDump(script(text), NEVER);
        await assert.rejects(drain(dump.stream), message);
        await assert.rejects(dump.ended, message);
        await assert.rejects(dump.ended, { code: 'incomplete' });
      });
    }

    it('never succeeds when the tool dies between its last byte and its exit', async () => {
      for (let times = 0; times < 40; times += 1) {
        const dump = startToolDump(script('head -c 100000 /dev/zero; exec 1>&-; kill -9 $$'), NEVER);
        await assert.rejects(drain(dump.stream), /SIGKILL/);
        await assert.rejects(dump.ended, /SIGKILL/);
      }
    });

    it('says that a tool cannot be run', async () => {
      const dump = startToolDump({ ...script(''), program: '/nonexistent/pg_dump' }, NEVER);
      await assert.rejects(drain(dump.stream), /\/nonexistent\/pg_dump cannot be run: .*ENOENT/);
      await assert.rejects(dump.ended, { code: 'unavailable' });
    });

    it('ends the tool when the reader has had enough, or has never begun', async () => {
      const early = startToolDump(script('cat /dev/zero'), NEVER);
      for await (const _ of early.stream) break;
      await assert.rejects(early.ended, /was ended before all bytes were read/);
      const unread = startToolDump(script('cat /dev/zero'), NEVER);
      await unread.stream[Symbol.asyncIterator]().return?.();
      await assert.rejects(unread.ended, { code: 'aborted' });
    });

    it('ends with the abort, read or not, and leaves no listener', async () => {
      for (const read of [true, false]) {
        const controller = new AbortController();
        const dump = startToolDump(script('cat /dev/zero'), controller.signal);
        const reading = read ? drain(dump.stream) : Promise.reject(new Error('enough'));
        reading.catch(() => undefined);
        await until(() => tools().length > 0, WAIT_MS);
        controller.abort(new BackupError('aborted', 'enough'));
        await assert.rejects(reading, /enough/);
        await assert.rejects(dump.ended, /enough/);
        assert.equal(getEventListeners(controller.signal, 'abort').length, 0);
      }
    });

    it('ends with the abort when the tool has written all and nobody reads it', async () => {
      const controller = new AbortController();
      const dump = startToolDump(
        script('echo all; echo done > "$1"', join(folder, 'done')),
        controller.signal,
      );
      await until(
        () =>
          readFile(join(folder, 'done')).then(
            () => true,
            () => false,
          ),
        WAIT_MS,
      );
      await until(() => tools().length === 0, WAIT_MS);
      controller.abort(new BackupError('aborted', 'enough'));
      await assert.rejects(dump.ended, /enough/);
      const stopped = startToolDump(script('echo all'), NEVER);
      await until(() => tools().length === 0, WAIT_MS);
      await stopped.stop(new BackupError('stalled', 'too late'));
      await assert.rejects(stopped.ended, /too late/);
    });

    it('is not started after an abort', async () => {
      assert.throws(() => startToolDump(script('true'), AbortSignal.abort()), { code: 'aborted' });
      const controller = new AbortController();
      const dump = startToolDump(script('echo started > "$1"', join(folder, 'started')), controller.signal);
      controller.abort(new BackupError('aborted', 'enough'));
      await assert.rejects(drain(dump.stream), /enough/);
      await assert.rejects(dump.ended, /enough/);
      await assert.rejects(readFile(join(folder, 'started')), { code: 'ENOENT' });
    });

    it('ends with what the inspection finds', async () => {
      const dump = startToolDump(script('cat /dev/zero'), NEVER, () => {
        throw new BackupError('corrupt', 'this is no dump');
      });
      await assert.rejects(drain(dump.stream), /this is no dump/);
      await assert.rejects(dump.ended, { code: 'corrupt' });
    });

    it('ends with the reason when it is stopped', async () => {
      const dump = startToolDump(script('cat /dev/zero'), NEVER);
      const reading = drain(dump.stream);
      reading.catch(() => undefined);
      await until(() => tools().length > 0, WAIT_MS);
      await dump.stop(new BackupError('stalled', 'locked for 10 s'));
      await assert.rejects(reading, /locked for 10 s/);
      await assert.rejects(dump.ended, { code: 'stalled' });
    });

    it('can be read only once', async () => {
      const dump = startToolDump(script('true'), NEVER);
      await drain(dump.stream);
      assert.throws(() => dump.stream[Symbol.asyncIterator](), /only once/);
    });

    it('works through pipes where no socket can be made', async () => {
      const before = process.env.TMPDIR;
      process.env.TMPDIR = '/nonexistent';
      try {
        const dump = startToolDump(script('head -c 3000000 /dev/zero'), NEVER);
        assert.equal(await drain(dump.stream), 3_000_000);
        assert.deepEqual(await dump.ended, []);
        const failing = startToolDump(script('head -c 3000000 /dev/zero; exit 3'), NEVER);
        await assert.rejects(drain(failing.stream), /exit code 3/);
      } finally {
        if (before === undefined) delete process.env.TMPDIR;
        else process.env.TMPDIR = before;
      }
    });

    it('ends a tool that does not listen to SIGTERM', async () => {
      const controller = new AbortController();
      const dump = startToolDump(script('trap "" TERM; while :; do sleep 1; done'), controller.signal);
      await until(() => tools().length > 0, WAIT_MS);
      controller.abort(new BackupError('aborted', 'enough'));
      await assert.rejects(dump.ended, /enough/);
    }).timeout(60_000);
  });

  describe('the process group', () => {
    it('ends the workers of a tool with it: when it is stopped, and when it dies alone', async () => {
      for (const how of ['stop', 'kill'] as const) {
        const pids = join(folder, `pids-${how}`);
        const text =
          'for n in 1 2; do (trap "" TERM; while :; do sleep 1; done) & echo $! >> "$1"; done; wait';
        const tool = new ToolProcess(script(text, pids), NEVER);
        const workers = async () =>
          (await readFile(pids, 'utf8').catch(() => '')).split('\n').filter(Boolean);
        await until(async () => (await workers()).length === 2, WAIT_MS);
        if (how === 'stop') await tool.stop(new BackupError('aborted', 'enough'));
        else process.kill(tool.pid ?? 0, 'SIGKILL');
        await assert.rejects(tool.succeeded());
        for (const pid of await workers()) await until(async () => !(await isAlive(pid)), WAIT_MS);
      }
    }).timeout(60_000);

    it('does not get the product’s secrets', async () => {
      process.env.DBACKUP_TEST_SECRET = 'secret';
      process.env.PGPASSWORD = 'other';
      try {
        const { stdout } = await runTool({ ...script('env'), env: { PGUSER: 'me' } }, NEVER);
        assert.ok(!/DBACKUP|PGPASSWORD/.test(stdout));
        assert.match(stdout, /^PGUSER=me$/m);
        assert.match(stdout, /^LC_ALL=C$/m);
      } finally {
        delete process.env.DBACKUP_TEST_SECRET;
        delete process.env.PGPASSWORD;
      }
    });
  });

  describe('what a tool says', () => {
    it('is kept whole while it is little', async () => {
      const { stderr } = await runTool(
        script('echo one >&2; echo >&2; echo "  two  " >&2; printf three >&2'),
        NEVER,
      );
      assert.deepEqual(stderr, ['one', '  two', 'three']);
    });

    it('is kept from its beginning and end when it is a flood, and bounded', async () => {
      const text =
        'seq 1 300000 >&2; head -c 5000000 /dev/zero | tr "\\0" y >&2; echo >&2; echo last >&2; exit 4';
      const tool = new ToolProcess(script(text), NEVER);
      tool.stdin.end();
      tool.stdout.resume();
      await assert.rejects(tool.succeeded(), /exit code 4: .*last$/);
      const { stderr } = await tool.exited;
      assert.ok(stderr.length <= 401, `${stderr.length} lines`);
      assert.deepEqual(stderr.slice(0, 2), ['1', '2']);
      assert.ok(stderr.some((line) => /lines left out/.test(line)));
      assert.ok(stderr.every((line) => line.length <= 2000));
    });

    it('is explained and classified by who knows the tool', async () => {
      const command: ToolCommand = {
        ...script('echo noise >&2; echo "FATAL: no password" >&2; exit 1'),
        explain: (lines) => lines.find((line) => line.startsWith('FATAL')) ?? '',
        classify: ({ message }) => new BackupError('permission', message),
      };
      await assert.rejects(runTool(command, NEVER), (error) => {
        assert.ok(error instanceof BackupError);
        assert.deepEqual(
          [error.code, error.message],
          ['permission', 'the tool failed with exit code 1: FATAL: no password'],
        );
        return true;
      });
    });
  });

  describe('a brief answer', () => {
    it('comes with what was asked', async () => {
      const { stdout } = await runTool(script('cat; echo '), NEVER, 'question');
      assert.equal(stdout, 'question\n');
    });

    it('ends a tool that answers without end', async () => {
      await assert.rejects(runTool(script('cat /dev/zero'), NEVER), /gave more than/);
    });

    it('ends with the abort', async () => {
      const controller = new AbortController();
      const answer = runTool(script('sleep 1000'), controller.signal);
      answer.catch(() => undefined);
      await until(() => tools().length > 0, WAIT_MS);
      controller.abort(new BackupError('aborted', 'enough'));
      await assert.rejects(answer, /enough/);
    });
  });

  describe('feeding a dump to stdin', () => {
    async function* blocks(count: number, failure?: Error): AsyncGenerator<Buffer, void> {
      for (let number = 0; number < count; number += 1) yield Buffer.alloc(MIB, number);
      if (failure !== undefined) throw failure;
    }

    it('hands over every byte, then the end, and gives each chunk back', async () => {
      const target = join(folder, 'fed');
      const released: Buffer[] = [];
      const given: Buffer[] = [];
      async function* noting() {
        for await (const block of blocks(20)) {
          given.push(block);
          yield block;
        }
      }
      const raw: ByteStream = {
        [Symbol.asyncIterator]: () => noting(),
        release: (chunk) => released.push(chunk),
      };
      assert.deepEqual(await feedTool(script('cat > "$1"; echo loaded >&2', target), raw, NEVER), ['loaded']);
      assert.deepEqual(released, given);
      assert.ok((await readFile(target)).equals(Buffer.concat(given)));
    });

    it('does not end the input of a tool whose dump is wrong', async () => {
      const target = join(folder, 'taken');
      const tool = script('cat > /dev/null; echo took it for all > "$1"', target);
      await assert.rejects(
        feedTool(tool, blocks(3, new BackupError('corrupt', 'tampered')), NEVER),
        /tampered/,
      );
      await assert.rejects(readFile(target), { code: 'ENOENT' });
    });

    it('tells why a tool ended that does not want more', async () => {
      let given = 0;
      async function* endless() {
        for (;;) {
          given += 1;
          yield Buffer.alloc(MIB);
        }
      }
      const tool = script('head -c 3000000 > /dev/null; echo "no space" >&2; exit 2');
      await assert.rejects(feedTool(tool, endless(), NEVER), /exit code 2: no space/);
      assert.ok(given < 100, `${given} MiB were given to a tool that took 3`);
    });

    it('does not wait for a stream that hangs when the tool has ended', async () => {
      async function* hanging() {
        yield Buffer.alloc(10);
        await new Promise(() => undefined);
      }
      await assert.rejects(feedTool(script('echo no >&2; exit 2'), hanging(), NEVER), /exit code 2: no/);
    });

    it('waits for a tool that takes its time', async () => {
      let given = 0;
      async function* counted() {
        for await (const block of blocks(30)) {
          given += 1;
          yield block;
        }
      }
      const go = join(folder, 'feed');
      const feeding = feedTool(
        script('while [ ! -e "$1" ]; do sleep 0.05; done; cat > /dev/null', go),
        counted(),
        NEVER,
      );
      feeding.catch(() => undefined);
      await until(() => given > 0, WAIT_MS);
      await new Promise((resolve) => setTimeout(resolve, 300));
      assert.ok(given <= 3, `${given} MiB were taken for a tool that reads nothing`);
      await writeFile(go, '');
      await feeding;
      assert.equal(given, 30);
    });

    it('keeps nothing of what it has handed over', async () => {
      let most = 0;
      async function* measured() {
        for await (const block of blocks(600)) {
          most = Math.max(most, process.memoryUsage().arrayBuffers);
          yield block;
        }
      }
      await feedTool(script('cat > /dev/null'), measured(), NEVER);
      assert.ok(most < 300 * MIB, `${most} bytes of 600 MiB were held`);
    });

    it('ends with the abort', async () => {
      const controller = new AbortController();
      const feeding = feedTool(script('sleep 1000'), blocks(30), controller.signal);
      feeding.catch(() => undefined);
      await until(() => tools().length > 0, WAIT_MS);
      controller.abort(new BackupError('aborted', 'enough'));
      await assert.rejects(feeding, /enough/);
    });
  });

  describe('larger output', () => {
    it('is used where the program works with it, and leaves the dump as it is', async () => {
      const command: ToolCommand = { ...script(''), program: '/usr/bin/seq', args: ['1', '200000'] };
      const large = await withLargeOutput(command, NEVER);
      assert.match(large.program, /stdbuf$/);
      const [plain, buffered] = await Promise.all([runTool(command, NEVER), runTool(large, NEVER)]);
      assert.equal(buffered.stdout, plain.stdout);
      assert.deepEqual(buffered.stderr, []);
      const controller = new AbortController();
      const dump = startToolDump({ ...large, args: [...large.args.slice(0, 2), 'inf'] }, controller.signal);
      const reading = drain(dump.stream);
      reading.catch(() => undefined);
      await until(() => tools().length > 0, WAIT_MS);
      controller.abort(new BackupError('aborted', 'enough'));
      await assert.rejects(reading, /enough/);
      await until(() => tools().length === 0, WAIT_MS);
    });

    it('is left alone where the program does not answer well with it', async () => {
      const noisy = join(folder, 'noisy');
      await writeFile(noisy, '#!/bin/sh\necho 1.0\necho "cannot be preloaded" >&2\n');
      await chmod(noisy, 0o755);
      const command = { ...script(''), program: noisy, args: ['--all'] };
      assert.deepEqual(await withLargeOutput(command, NEVER), command);
    });
  });
});

/** Pipes, Unix sockets and child processes of this process. */
function openHandles(): number {
  return process.getActiveResourcesInfo().filter((name) => /^(Pipe|Process)/.test(name)).length;
}

async function isAlive(pid: string): Promise<boolean> {
  const status = await readFile(`/proc/${pid}/stat`, 'latin1').catch(() => ') Z');
  return !/\) Z/.test(status);
}

async function drain(stream: ByteStream): Promise<number> {
  let bytes = 0;
  for await (const chunk of stream) {
    bytes += chunk.length;
    stream.release?.(chunk);
  }
  return bytes;
}

async function pipeFolders(): Promise<string[]> {
  return (await readdir(tmpdir())).filter((name) => name.startsWith(`dbackup-pipe-${process.pid}-`));
}
