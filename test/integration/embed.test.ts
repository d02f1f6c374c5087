import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { mkdir, writeFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import { createRequire } from 'node:module';
import type { AddressInfo } from 'node:net';
import path from 'node:path';
import { promisify } from 'node:util';
import { BackupError, type ErrorCode } from '../../lib/errors.ts';
import type { FlowEntry, RuntimeOptions } from '../../runner/runtime.ts';
import { startTestRuntime, type TestRuntime } from '../support/embedded.ts';
import { destination, functionNode, node, opening, TAB } from '../support/flows.ts';
import { until } from '../support/until.ts';

type Options = Parameters<typeof startTestRuntime>[1];

async function withRuntime(
  flows: readonly FlowEntry[],
  options: Options,
  body: (started: TestRuntime) => Promise<void>,
): Promise<void> {
  const started = await startTestRuntime(flows, options);
  try {
    await body(started);
  } finally {
    await started.stop();
  }
}

async function refused(
  flows: readonly FlowEntry[],
  code: ErrorCode,
  text: RegExp,
  options?: Options,
): Promise<void> {
  await assert.rejects(
    async () => {
      const started = await startTestRuntime(flows, options);
      await started.stop();
    },
    (error) => {
      assert.ok(error instanceof BackupError, String(error));
      assert.equal(error.code, code, error.message);
      assert.match(error.message, text);
      return true;
    },
  );
}

const account = (id: string, properties: Record<string, unknown> = {}): FlowEntry => ({
  id,
  type: 'test-account',
  ...properties,
});

describe('Headless runtime: starting a flow', () => {
  it('loads nothing that the flow does not need', () =>
    withRuntime([...opening('d'), destination('d')], {}, async () => {
      const registry: { getNodeList(): { types: string[] }[] } = createRequire(import.meta.url)(
        '@node-red/registry',
      );
      const types = registry.getNodeList().flatMap((set) => set.types);
      assert.ok(types.includes('inject'));
      assert.ok(!types.includes('mqtt in') && !types.includes('function'), types.join());
    }));

  it('refuses node types that nothing provides, all of them at once', () =>
    refused(
      [TAB, node('a', 'no-such-node'), node('b', 'nor-this-one'), node('c', 'inject')],
      'invalid-config',
      /not installed: no-such-node, nor-this-one/,
    ));

  it('finds node packages in the user directory', () => {
    const prepare = async (userDir: string) => {
      const dir = path.join(userDir, 'node_modules', '@acme', 'nodes');
      await mkdir(dir, { recursive: true });
      const manifest = { name: '@acme/nodes', version: '1.0.0', 'node-red': { nodes: { acme: 'acme.js' } } };
      await writeFile(path.join(dir, 'package.json'), JSON.stringify(manifest));
      const code =
        'module.exports = (RED) => RED.nodes.registerType("acme", function (n) { RED.nodes.createNode(this, n); });';
      await writeFile(path.join(dir, 'acme.js'), code);
    };
    return withRuntime([TAB, node('a', 'acme')], { prepare }, async ({ runtime }) => runtime.fire('a'));
  });

  it('refuses a flow with a node that does not start, and says why', () =>
    refused(
      [TAB, node('good', 'inject', [], { props: [] }), node('bad', 'test-broken', [], { name: 'My node' })],
      'invalid-config',
      /"My node" \(test-broken, bad\): this constructor throws/,
    ));

  it('sees a node inside a subflow instance that does not start', () =>
    refused(
      [
        { id: 'sf', type: 'subflow', name: 'Sub', in: [], out: [] },
        node('inner', 'test-reader', [], { z: 'sf', file: '/no/such/file' }),
        TAB,
        node('one', 'subflow:sf'),
      ],
      'invalid-config',
      /test-reader inner: ENOENT/,
    ));

  it('leaves out disabled nodes, disabled tabs and unused subflows', () =>
    withRuntime(
      [
        { id: 'off', type: 'tab', disabled: true },
        { id: 'sf', type: 'subflow', name: 'Sub', in: [], out: [] },
        TAB,
        node('a', 'test-broken', [], { d: true }),
        node('b', 'test-broken', [], { z: 'off' }),
        node('c', 'test-broken', [], { z: 'sf' }),
      ],
      {},
      async ({ runtime }) => {
        assert.throws(() => runtime.fire('a'), { code: 'not-found' });
      },
    ));

  it('refuses function nodes whose modules are not installed, instead of installing them', () =>
    refused(
      [
        TAB,
        { ...functionNode('f', 'return msg;', [[]]), libs: [{ var: 'x', module: 'left-pad-of-nobody' }] },
      ],
      'invalid-config',
      /left-pad-of-nobody/,
    ));

  it('resolves variables of the environment in settings', async () => {
    process.env.DBACKUP_TEST_HOST = 'db.example';
    try {
      // biome-ignore lint/suspicious/noTemplateCurlyInString: this is Node-RED's own syntax
      await withRuntime([account('acc', { host: '${DBACKUP_TEST_HOST}' })], {}, async ({ notes }) => {
        assert.deepEqual(notes.acc, { host: 'db.example', password: undefined });
      });
    } finally {
      delete process.env.DBACKUP_TEST_HOST;
    }
  });

  it('passes on what nodes log, with the node, and nothing of its own chatter', () =>
    withRuntime([TAB, node('r', 'test-reader', [], { name: 'Reader' })], {}, async ({ runtime, lines }) => {
      runtime.fire('r');
      await runtime.tracker.idle();
      assert.deepEqual(lines, [
        { level: 'info', message: 'a message came', node: { id: 'r', type: 'test-reader', name: 'Reader' } },
      ]);
    }));
});

describe('Headless runtime: credentials', () => {
  const flow = [account('acc', { host: 'h' })];

  it('hands them to nodes from a plain map', () =>
    withRuntime(
      flow,
      { credentials: { plain: { acc: { password: 'secret' } } } },
      async ({ notes, lines }) => {
        assert.deepEqual(notes.acc, { host: 'h', password: 'secret' });
        assert.deepEqual(lines, [], 'without a complaint of Node-RED about unencrypted credentials');
      },
    ));

  it('opens what Node-RED has encrypted', async () => {
    const encrypted = await encryptedByNodeRed('the secret', { acc: { password: 'from the editor' } });
    await withRuntime(flow, { credentials: { encrypted, secret: 'the secret' } }, async ({ notes }) => {
      assert.deepEqual(notes.acc, { host: 'h', password: 'from the editor' });
    });
  });

  it('refuses a wrong secret instead of starting without credentials', async () => {
    const encrypted = await encryptedByNodeRed('the secret', { acc: { password: 'x' } });
    await refused(flow, 'wrong-key', /credentialSecret/, { credentials: { encrypted, secret: 'another' } });
  });
});

describe('Headless runtime: HTTP', () => {
  const hello = [
    TAB,
    node('in', 'http in', [['f']], { url: '/hello', method: 'get' }),
    functionNode('f', 'msg.payload = "hello " + msg.req.query.name; return msg;', [['out']]),
    node('out', 'http response', []),
  ];
  const free = { port: 0 };

  it('serves HTTP In nodes on 127.0.0.1, and neither editor nor admin API', () =>
    withRuntime(hello, { http: free }, async ({ runtime }) => {
      assert.match(runtime.url ?? '', /^http:\/\/127\.0\.0\.1:\d+$/);
      const answer = await fetch(`${runtime.url}/hello?name=you`);
      assert.equal(await answer.text(), 'hello you');
      for (const admin of ['/', '/flows', '/settings', '/red/red.min.js', '/inject/in', '/dbackup/api/x']) {
        assert.equal((await fetch(runtime.url + admin)).status, 404, admin);
      }
    }));

  it('serves them below a root', () =>
    withRuntime(hello, { http: { ...free, root: '/hooks' } }, async ({ runtime }) => {
      assert.equal(await (await fetch(`${runtime.url}/hooks/hello?name=x`)).text(), 'hello x');
      assert.equal((await fetch(`${runtime.url}/hello`)).status, 404);
    }));

  it('frees the port when it stops, also with connections open', async () => {
    const started = await startTestRuntime(hello, { http: free });
    const { url } = started.runtime;
    await (await fetch(`${url}/hello?name=x`)).text();
    await started.stop();
    await assert.rejects(fetch(`${url}/hello`));
  });

  it('refuses a port in use before anything starts', async () => {
    const taken = createServer();
    await new Promise<void>((resolve) => taken.listen(0, '127.0.0.1', resolve));
    const { port } = taken.address() as AddressInfo;
    try {
      await refused(hello, 'unavailable', new RegExp(`127\\.0\\.0\\.1 port ${port}`), { http: { port } });
    } finally {
      taken.close();
    }
  });
});

describe('Headless runtime: stopping', () => {
  it('waits for nodes to close, and may be asked twice', async () => {
    const started = await startTestRuntime([TAB, node('c', 'test-closing')]);
    await started.runtime.stop();
    assert.equal(started.notes.c, 'closed');
    await started.stop();
  });

  it('can start again after a start that failed', async () => {
    await refused([TAB, node('bad', 'test-broken')], 'invalid-config', /test-broken/);
    await withRuntime([...opening('d'), destination('d')], {}, async ({ runtime, engine }) => {
      runtime.fire('in');
      await until(() => engine.committed.length === 1);
    });
  });

  it('survives what a node throws out of a timer, and leaves nothing that keeps the process alive', async () => {
    const script = path.join(import.meta.dirname, '../support/uncaught-process.ts');
    const child = await promisify(execFile)(process.execPath, [script], {
      timeout: 30_000,
    });
    assert.deepEqual(JSON.parse(child.stdout), {
      reported: ['nobody catches this'],
      errors: ['Uncaught: Error: nobody catches this'],
    });
  });

  it('gives up on a flow that does not start in time', () =>
    refused([...opening('d'), destination('d')], 'unavailable', /not started within 0 s/, {
      startTimeoutMs: 0,
    } satisfies Partial<RuntimeOptions>));
});

/** Credentials as the editor's Node-RED writes them into flows_cred.json. */
async function encryptedByNodeRed(
  secret: string,
  credentials: Record<string, Record<string, string>>,
): Promise<unknown> {
  const store: {
    init(runtime: object): void;
    load(credentials: object): Promise<void>;
    add(id: string, credentials: object): Promise<void>;
    export(): Promise<unknown>;
  } = createRequire(import.meta.url)('@node-red/runtime/lib/nodes/credentials');
  const log = { _: (key: string) => key, debug: () => {}, warn: () => {} };
  const settings = { get: (key: string) => (key === 'credentialSecret' ? secret : undefined) };
  store.init({ log, settings });
  await store.load({});
  for (const [id, fields] of Object.entries(credentials)) await store.add(id, fields);
  const exported = await store.export();
  assert.ok(typeof exported === 'object' && exported !== null && '$' in exported);
  return exported;
}
