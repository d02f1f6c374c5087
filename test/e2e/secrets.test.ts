import assert from 'node:assert/strict';
import type { EventEmitter } from 'node:events';
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createSampleDatabase } from '../../demo/sample-database.ts';
import { encryptCredentials } from '../../runner/credentials.ts';
import { ArgvWatch } from '../support/argv-watch.ts';
import { type NodesRuntime, startNodes } from '../support/backup-nodes.ts';
import { linkPackage, NodeRed } from '../support/editor/node-red.ts';
import { skipWithoutFileServers } from '../support/file-servers.ts';
import { freePort } from '../support/free-port.ts';
import { PlantedSecrets } from '../support/planted-secrets.ts';
import { dbackup, eventsOf, RunnerProcess } from '../support/runner-process.ts';
import { BAD_SOURCES, BAD_STORAGES, GOOD, type SecretFlow, secretFlow } from '../support/secret-flow.ts';
import { type SecretServers, startSecretServers } from '../support/secret-servers.ts';
import { bearerRequest } from '../support/signed-request.ts';
import { until } from '../support/until.ts';

const TOKEN = 'token-of-the-webhook-5e1f';
const WRONG_TOKEN = 'wrong-token-of-the-webhook-77aa';
const PASSPHRASE = 'passphrase of the encryption 93c0';
const MASTER_KEY = 'master key of the vault 2b8d';
const CREDENTIAL_SECRET = 'credential secret of the flow 4f6a';
/** Job and end of each backup of the flow. */
const ENDS: Readonly<Record<string, string>> = { good: 'succeeded', bad: 'failed', lost: 'partial' };

/** Real backups that succeed and that fail, with a secret wherever there is one, and a look at all that comes out. */
describe('Secrets', function () {
  this.timeout(240_000);
  let servers: SecretServers;
  let flow: SecretFlow;
  let planted: PlantedSecrets;
  let root: string;
  /** What this test itself has put into files for others to read. */
  let own: string;

  before(async function () {
    skipWithoutFileServers(this);
    root = mkdtempSync(join(tmpdir(), 'dbackup-secrets-'));
    own = join(root, 'own');
    mkdirSync(own);
    servers = await startSecretServers();
    const database = join(root, 'shop.sqlite');
    createSampleDatabase(database, 100_000);
    const places = { database, folder: join(root, 'disk'), token: TOKEN, passphrase: PASSPHRASE };
    flow = secretFlow(servers, { ...places, closedPort: await freePort() });
    const ofNodes = Object.entries(flow.secrets).flatMap(([id, fields]) =>
      Object.entries(fields).map(([field, value]) => [`${id}.${field}`, value] as const),
    );
    planted = new PlantedSecrets({
      ...Object.fromEntries(ofNodes),
      WRONG_TOKEN,
      MASTER_KEY,
      CREDENTIAL_SECRET,
    });
    for (const [name, value] of Object.entries(planted.values)) assert.ok(value.length >= 6, name);
  });

  after(async () => {
    await servers?.stop();
    if (root !== undefined) rmSync(root, { recursive: true, force: true });
  });

  /** Starts the three backups, one after the other, as people and programs do. */
  async function startBackups(url: string, ended: (job: string) => Promise<unknown>): Promise<void> {
    const refused = await fetch(`${url}${GOOD}`, bearerRequest('', WRONG_TOKEN));
    assert.equal(refused.status, 401);
    assert.deepEqual(planted.in(await refused.text()), []);
    for (const [path, job] of [
      [GOOD, 'good'],
      [BAD_STORAGES, 'bad'],
      [BAD_SOURCES, 'lost'],
    ] as const) {
      const answer = await fetch(`${url}${path}`, bearerRequest('{"tags": ["secrets"]}', TOKEN));
      assert.equal(answer.status, 202, path);
      assert.deepEqual(planted.in(await answer.text()), [], path);
      await ended(job);
    }
  }

  /** Everything that the backups have stored, on whichever server. */
  function assertStoredWithout(): void {
    const { webdav, ftp, files } = servers;
    const places = [
      join(root, 'disk'),
      webdav.root,
      ftp.home,
      files.samba.share,
      files.rsyncd.home,
      files.ssh.folder,
    ];
    for (const place of places) assert.deepEqual(planted.below(place), []);
    const sets = readdirSync(join(root, 'disk'), { recursive: true, encoding: 'utf8' });
    for (const name of ['manifest.json', 'RESTORE.md', 'annotations.json', 'SHA256SUMS']) {
      assert.ok(
        sets.some((file) => file.endsWith(`/${name}`)),
        name,
      );
    }
  }

  for (const [mode, args, more] of [
    ['with --json, and an encrypted credentials file', ['--json'], {}],
    ['as people run it, with stacks (DBACKUP_DEBUG)', [], { DBACKUP_DEBUG: '1' }],
  ] as const) {
    it(`are in nothing that dbackup serve tells or keeps, ${mode}`, async () => {
      const work = mkdtempSync(join(root, 'serve-'));
      const temp = join(work, 'temp');
      const data = join(work, 'data');
      mkdirSync(temp);
      const file = join(own, 'flow.json');
      writeFileSync(file, JSON.stringify(flow.nodes));
      writeFileSync(
        join(own, 'flow_cred.json'),
        JSON.stringify(encryptCredentials(flow.secrets, CREDENTIAL_SECRET)),
      );
      const env = {
        DBACKUP_DATA: data,
        DBACKUP_MASTER_KEY: MASTER_KEY,
        DBACKUP_CREDENTIAL_SECRET: CREDENTIAL_SECRET,
        TMPDIR: temp,
        HOME: work,
        XDG_CACHE_HOME: join(tmpdir(), 'dbackup-test-cache'),
        ...more,
      };
      const port = await freePort();
      const runner = new RunnerProcess(['serve', file, '--port', String(port), '--attempts', '1', ...args], {
        env,
      });
      const watch = new ArgvWatch(runner.pid);
      const url = `http://127.0.0.1:${port}`;
      try {
        await runner.seen((stdout, stderr) => (/[Ll]istening/.test(stdout + stderr) ? true : undefined));
        await startBackups(url, async (job) => {
          await runner.seen((stdout) => (hasEnded(stdout, job) ? true : undefined));
        });
        for (const path of ['/metrics', '/readyz', '/healthz']) {
          assert.deepEqual(planted.in(await (await fetch(url + path)).text()), [], path);
        }
        assert.deepEqual(planted.below(temp), [], 'temporary files of a running process');
      } finally {
        runner.kill('SIGTERM');
      }
      const { code, stdout, stderr } = await runner.finished;
      assert.equal(code, 143, stderr);
      assert.deepEqual(planted.in(stdout), [], stdout);
      assert.deepEqual(planted.in(stderr), [], stderr);
      const commands = watch.stop();
      assert.ok(
        commands.some((line) => line.includes('pg_dump')),
        'the dump tools were seen',
      );
      assert.deepEqual(planted.in(commands.join('\n')), []);
      assert.deepEqual(planted.below(data), [], 'history, logs, vault, known hosts');
      assert.deepEqual(planted.below(temp), []);
      assertStoredWithout();

      const asked = await Promise.all(
        [['runs'], ['runs', '--json'], ['jobs'], ['logs', 'latest', '--job', 'bad', '--level', 'debug']].map(
          (command) => dbackup(command, { env }),
        ),
      );
      for (const answer of asked) assert.deepEqual(planted.in(answer.stdout + answer.stderr), []);
      const log = asked.at(-1)?.stdout ?? '';
      assert.match(log, /password|sign|refused|key/i, 'the log says why the storages failed');
      assert.equal(countOf(log, /error .* failed: /g) >= 8, true, log);
    });
  }

  it('are in no message, status, error or log line of Node-RED', async () => {
    const before = { ...process.env };
    const data = join(root, 'embedded');
    Object.assign(process.env, { DBACKUP_DATA: data, DBACKUP_MASTER_KEY: MASTER_KEY });
    const { events }: { events: EventEmitter } = createRequire(import.meta.url)('@node-red/util');
    const statuses: unknown[] = [];
    const onStatus = (status: unknown) => statuses.push(status);
    events.on('node-status', onStatus);
    let nodes: NodesRuntime | undefined;
    try {
      nodes = await startNodes(flow.nodes, {
        http: { port: 0 },
        credentials: { plain: flow.secrets },
        settings: { dbackup: { destinationAttempts: 1, databaseAttempts: 1 } },
        debug: true,
      });
      const results: string[] = [];
      const { runtime } = nodes;
      const { existingRuntime } = await import('../../nodes/runtime.ts');
      const backup = existingRuntime(runtime);
      assert.ok(backup !== undefined);
      const happened: unknown[] = [];
      backup.happenings.listen((event) => happened.push(event));
      backup.engine.events.on('finished', ({ job, state }) => results.push(`${job} ${state}`));
      await startBackups(String(runtime.url), (job) =>
        until(() => results.some((line) => line.startsWith(job)), 120_000),
      );
      await runtime.tracker.idle();
      assert.deepEqual(
        results,
        Object.entries(ENDS).map((end) => end.join(' ')),
      );
      const messages = nodes.recorded('').concat(nodes.recorded('seen'));
      assert.ok(messages.length > 10, 'destinations and Catch nodes have sent messages');
      for (const told of [messages, statuses, happened, nodes.lines]) {
        assert.ok(told.length > 0);
        assert.deepEqual(planted.in(textOf(told)), []);
      }
    } finally {
      events.removeListener('node-status', onStatus);
      await nodes?.stop();
      for (const name of Object.keys(process.env)) if (!(name in before)) delete process.env[name];
      Object.assign(process.env, before);
    }
    assert.deepEqual(planted.below(data), []);
  });

  it('are in no answer of the admin server, and in no file of Node-RED that is not encrypted', async () => {
    const userDir = join(root, 'user');
    mkdirSync(userDir);
    linkPackage(userDir);
    const environment = { DBACKUP_MASTER_KEY: MASTER_KEY };
    const settings = {
      credentialSecret: CREDENTIAL_SECRET,
      dbackup: { destinationAttempts: 1, databaseAttempts: 1 },
    };
    const server = await NodeRed.start({ userDir, flow: [], environment, settings });
    const answers: string[] = [];
    const ask = async (path: string, request: RequestInit = {}) => {
      const answer = await (await fetch(server.url + path, request)).text();
      answers.push(answer);
      return answer;
    };
    try {
      const deployed = flow.nodes.map((node) => ({ ...node, credentials: flow.secrets[node.id] }));
      await ask('/flows', post(deployed));
      await until(async () => (await fetch(`${server.url}${GOOD}`, { method: 'POST' })).status === 401);
      await startBackups(server.url, (job) =>
        until(async () => hasEnded(await ask('/dbackup/api/runs'), job), 120_000),
      );
      const { recent } = JSON.parse(await ask('/dbackup/api/runs')) as {
        recent: { id: string; job: string; state: string }[];
      };
      assert.deepEqual(Object.fromEntries(recent.map(({ job, state }) => [job, state])), ENDS);
      for (const { id } of recent) {
        assert.match(await ask(`/dbackup/api/runs/${id}/logs?level=debug`), /"lines":\[\{/);
        await ask(`/dbackup/api/runs/${id}`);
      }
      for (const path of ['/flows', '/dbackup/api/metrics', '/dbackup/api/readyz']) await ask(path);
      for (const id of Object.keys(flow.secrets)) {
        const type = flow.nodes.find((node) => node.id === id)?.type;
        await ask(`/credentials/${type}/${id}`);
      }
      // A storage that refuses, asked with the secret that the server keeps.
      const { id, type, ...shown } = flow.nodes.find((node) => node.id === 'wrong-webdav-storage') ?? {};
      const tested = await ask(
        '/dbackup/api/storages/test',
        post({ type, id, settings: { ...shown, password: '__PWRD__' } }),
      );
      assert.match(tested, /"level":"error"/);
    } finally {
      await server.stop();
    }
    for (const answer of answers) assert.deepEqual(planted.in(answer), [], answer);
    assert.deepEqual(planted.in(server.output), [], server.output);
    const found = planted.below(join(userDir, 'dbackup'));
    for (const name of ['flows.json', 'flows_cred.json', '.config.runtime.json', '.config.nodes.json']) {
      const names = planted.in(readFileSync(join(userDir, name)));
      found.push(...names.map((secret) => `${name}: ${secret}`));
    }
    assert.deepEqual(found, []);
  });
});

/** By the lines or the events of the runner, or the admin server's list of runs. */
function hasEnded(told: string, job: string): boolean {
  const end = ENDS[job];
  if (told.startsWith('{"active"')) return told.includes(`"job":"${job}","state":"${end}"`);
  if (!told.startsWith('{')) return new RegExp(`of ${job} ${end}`).test(told);
  return eventsOf(told).some(
    (event) => event.event === 'run-finished' && event.job === job && event.state === end,
  );
}

function post(body: unknown): RequestInit {
  return { method: 'POST', headers: { 'content-type': 'application/json' }, body: JSON.stringify(body) };
}

function countOf(text: string, pattern: RegExp): number {
  return text.match(pattern)?.length ?? 0;
}

/** Everything of a value, as a debug node would show it: also what JSON leaves out. */
function textOf(value: unknown): string {
  const met = new Set<unknown>();
  const lines: string[] = [];
  const visit = (part: unknown, depth: number): void => {
    if (typeof part === 'string') lines.push(part);
    if (part instanceof Error) lines.push(part.message, String(part.stack));
    if (typeof part !== 'object' || part === null || met.has(part) || depth > 12) return;
    met.add(part);
    if (part instanceof Uint8Array) lines.push(Buffer.from(part).toString('latin1'));
    else for (const [key, inner] of Object.entries(part)) if (key !== 'res') visit(inner, depth + 1);
  };
  visit(value, 0);
  return lines.join('\n');
}
