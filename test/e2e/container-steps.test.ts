import assert from 'node:assert/strict';
import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { copyFile, mkdir, mkdtemp, readdir, readFile, rm } from 'node:fs/promises';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import Database from 'better-sqlite3';
import { freePort } from '../support/free-port.ts';
import { until } from '../support/until.ts';

const run = promisify(execFile);
const ROOT = join(import.meta.dirname, '../..');

/*
 * There is not always a container engine where tests run. These take the instructions out of the Dockerfile
 * and execute them in folders: what the image would install, start and ask for its health.
 */
describe('the steps of the Dockerfile', function () {
  this.timeout(300_000);
  let folder: string;
  let dockerfile: Dockerfile;

  before(async () => {
    folder = await mkdtemp(join(tmpdir(), 'dbackup-container-'));
    dockerfile = new Dockerfile(await readFile(join(ROOT, 'Dockerfile'), 'utf8'));
    await run('npm', ['pack', '--ignore-scripts', '--pack-destination', folder], { cwd: ROOT });
    const [tarball = ''] = (await readdir(folder)).filter((name) => name.endsWith('.tgz'));
    const install = dockerfile
      .command('RUN npm install')
      .replaceAll('/tmp/dbackup.tgz', join(folder, tarball));
    await mkdir(join(folder, 'opt'));
    await run('sh', ['-c', install], { cwd: join(folder, 'opt') });
  });

  after(async () => await rm(folder, { recursive: true, force: true }));

  const inFolder = (...names: string[]) => join(folder, ...names);
  const dbackup = () => inFolder('opt/node_modules/.bin/dbackup');

  it('install the command and Node-RED, and nothing that only development needs', async () => {
    const { version } = JSON.parse(await readFile(join(ROOT, 'package.json'), 'utf8')) as { version: string };
    const { stdout } = await run(dbackup(), ['--version']);
    assert.equal(stdout.trim(), version);
    const modules = await readdir(inFolder('opt/node_modules'));
    assert.ok(modules.includes('node-red'));
    for (const name of ['mocha', 'fast-check', 'typescript', 'playwright-core'])
      assert.ok(!modules.includes(name), name);
    assert.ok(
      dockerfile.text.includes('/opt/dbackup/node_modules/.bin/dbackup'),
      'the image links this command',
    );
  });

  it('serve a webhook, report health, back up, and end on SIGTERM', async () => {
    await mkdir(inFolder('flows'));
    await copyFile(join(ROOT, 'flows/06-webhook.json'), inFolder('flows/flow.json'));
    const database = new Database(inFolder('app.sqlite'));
    database.exec('CREATE TABLE item (name TEXT)');
    database.close();
    const port = await freePort();
    const health = dockerfile.healthCheck().map((part) => part.replaceAll('1880', String(port)));
    assert.notEqual(await exitCode(health), 0, 'nothing answers: not healthy');

    const served = start(port);
    try {
      await until(async () => (await exitCode(health)) === 0, 120_000);
      // It lives while its flow starts: only then it takes webhooks.
      const trigger = () => fetch(`http://127.0.0.1:${port}/backup`, { method: 'POST' });
      await until(async () => (await trigger()).status === 202, 120_000);
      await until(async () => (await manifests()).length > 0, 120_000);
    } finally {
      served.kill('SIGTERM');
    }
    const [code] = (await once(served, 'exit')) as [number | null];
    assert.equal(code, 143);
    assert.notEqual(await exitCode(health), 0, 'stopped: not healthy');
  });

  it('are not healthy where the port answers with an error', async () => {
    const server = createServer((_request, response) => response.writeHead(503).end());
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    const { port } = server.address() as AddressInfo;
    const health = dockerfile.healthCheck().map((part) => part.replaceAll('1880', String(port)));
    assert.notEqual(await exitCode(health), 0);
    server.close();
  });

  it('run as a user without privileges, under an init', () => {
    assert.equal(dockerfile.command('USER'), 'node');
    assert.deepEqual(dockerfile.list('ENTRYPOINT'), ['tini', '--', 'dbackup']);
    assert.match(dockerfile.text, /apt-get install .*tini/);
  });

  function start(port: number): ChildProcess {
    const args = dockerfile
      .list('CMD')
      .map((part) => part.replace('/flows/', `${inFolder('flows')}/`).replace('0.0.0.0', '127.0.0.1'))
      .map((part) => (part === '1880' ? String(port) : part.replace(/^\/data/, inFolder('data'))));
    return spawn(dbackup(), args, {
      stdio: ['ignore', 'ignore', 'inherit'],
      env: {
        ...process.env,
        DBACKUP_DATA: inFolder('data'),
        APP_DATABASE: inFolder('app.sqlite'),
        BACKUP_DIR: inFolder('backups'),
      },
    });
  }

  async function manifests(): Promise<string[]> {
    const files = await readdir(inFolder('backups'), { recursive: true }).catch(() => []);
    return files.filter((file) => file.endsWith('manifest.json'));
  }
});

/** The instructions of the last stage, or the only one of their kind; continued lines are joined. */
class Dockerfile {
  readonly text: string;

  constructor(text: string) {
    this.text = text.replaceAll(/\\\n\s*/g, '');
  }

  /** What follows that beginning of a line, with the default values of ARGs filled in. */
  command(beginning: string): string {
    const lines = this.text.split('\n').filter((line) => line.startsWith(`${beginning} `));
    const line = lines.at(-1) ?? assert.fail(`the Dockerfile has no ${beginning}`);
    const words = line.replace(/^[A-Z]+ /, '');
    return words.replaceAll(/\$\{(\w+)\}/g, (_, name: string) => this.#argument(name));
  }

  /** The same for an instruction that holds a JSON list. */
  list(instruction: string): string[] {
    return JSON.parse(this.command(instruction)) as string[];
  }

  healthCheck(): string[] {
    const [, list] = /\bCMD (\[.*\])$/.exec(this.command('HEALTHCHECK')) ?? [];
    return JSON.parse(list ?? assert.fail('the health check holds no CMD list')) as string[];
  }

  #argument(name: string): string {
    const [, value] = new RegExp(`^ARG ${name}=(.+)$`, 'm').exec(this.text) ?? [];
    return value ?? assert.fail(`ARG ${name} has no default`);
  }
}

async function exitCode([program = '', ...args]: string[]): Promise<number> {
  const child = spawn(program, args, { stdio: 'ignore' });
  const [code] = (await once(child, 'exit')) as [number | null];
  return code ?? -1;
}
