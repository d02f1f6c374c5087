import assert from 'node:assert/strict';
import { z } from 'zod';
import { BackupError } from '../../lib/errors.ts';
import { type AnyNode, defineNode, type NodeBehaviour, type NodeContext } from '../../nodes/define-node.ts';
import { registerNodes } from '../../nodes/register-nodes.ts';
import { existingRuntime } from '../../nodes/runtime.ts';
import { offer, type ServiceKey, serviceOf } from '../../nodes/services.ts';
import { FakeRed } from '../support/fake-red.ts';

const NUMBER: ServiceKey<{ readonly value: number }> = { name: 'number' };

interface Settings {
  readonly count: number;
  readonly secret?: string | undefined;
}

function testNode(
  behave: (context: NodeContext<Settings>) => NodeBehaviour,
  more: Partial<Pick<AnyNode, 'migrations' | 'schemaVersion'>> = {},
): AnyNode {
  return defineNode({
    type: 'dbackup-test',
    set: 'sources',
    role: 'source',
    icon: 'test.svg',
    inputs: 1,
    outputs: 1,
    schemaVersion: 1,
    ...more,
    schema: z.object({
      count: z.number().int().min(1),
      secret: z.string().optional().meta({ secret: true }),
    }),
    setup: behave,
  });
}

describe('registration of nodes', () => {
  let red: FakeRed;
  const raw = { id: 'n', type: 'dbackup-test', name: 'Test', count: '2' };

  beforeEach(() => {
    red = new FakeRed();
  });

  afterEach(async () => {
    await existingRuntime(red)?.shutdown('the test ends');
  });

  const run = (behave: (context: NodeContext<Settings>) => NodeBehaviour) => {
    registerNodes(red.api, [testNode(behave)]);
    return red.start(raw);
  };

  it('takes secrets as credentials, by the mark in the schema', () => {
    registerNodes(red.api, [testNode(() => ({}))]);
    assert.deepEqual(red.types.get('dbackup-test')?.credentials, { secret: { type: 'password' } });
  });

  it('gives the handler settings of their types, secrets included', async () => {
    let seen: unknown;
    registerNodes(red.api, [
      testNode((context) => ({
        onInput: () => {
          seen = context.settings;
        },
      })),
    ]);
    await red.start(raw, { secret: ' with blanks ' }).receive({});
    assert.deepEqual(seen, { count: 2, secret: ' with blanks ' });
  });

  it('calls done once after a handler that returns and after one that resolves', async () => {
    const returning = await run(() => ({ onInput: () => undefined })).receive({});
    assert.deepEqual([returning.error, returning.calls()], [undefined, 1]);
    red.types.clear();
    const resolving = await run(() => ({ onInput: async () => undefined })).receive({});
    assert.deepEqual([resolving.error, resolving.calls()], [undefined, 1]);
  });

  it('routes a synchronous throw to done, once, and shows it', async () => {
    const node = run(() => ({
      onInput: () => {
        throw new BackupError('no-space', 'The disk is full');
      },
    }));
    const { error, calls } = await node.receive({});
    assert.ok(error instanceof BackupError);
    assert.equal(error.code, 'no-space');
    assert.equal(calls(), 1);
    assert.deepEqual(node.statuses.at(-1), { fill: 'red', shape: 'ring', text: '✗ The disk is full' });
    assert.deepEqual(node.errors, [], 'Node-RED logs what done() gets: a second report would double it');
  });

  it('routes a rejection to done, once, and makes a BackupError of anything thrown', async () => {
    const { error, calls } = await run(() => ({ onInput: () => Promise.reject('plain text') })).receive({});
    assert.ok(error instanceof BackupError);
    assert.equal(error.message, 'plain text');
    assert.equal(calls(), 1);
  });

  it('takes three arguments, which Node-RED and the tracker count on', () => {
    assert.equal(run(() => ({ onInput: () => undefined })).input?.length, 3);
    red.types.clear();
    registerNodes(red.api, [testNode(() => ({}))]);
    assert.equal(red.start({ ...raw, count: '' }).input?.length, 3, 'also when it is not set up');
  });

  it('starts a node with wrong settings, shows every problem, and refuses messages', async () => {
    registerNodes(red.api, [testNode(() => assert.fail('must not be set up'))]);
    const node = red.start({ ...raw, count: '${' + 'COUNT}' });
    assert.match(node.errors.join(), /dbackup-test "Test" is not set up: count .*COUNT/);
    assert.equal(node.statuses.at(-1)?.fill, 'red');
    const { error } = await node.receive({});
    assert.match(String(error), /set the environment variable COUNT/);
  });

  it('reports a setup that throws in the same way', async () => {
    const node = run(() => {
      throw new Error('no such folder');
    });
    assert.match(node.errors.join(), /dbackup-test "Test": no such folder/);
    assert.match(String((await node.receive({})).error), /no such folder/);
  });

  it('reports a wrong "dbackup" in settings.js at each node, and never as an unhandled rejection', async () => {
    red = new FakeRed({ dbackup: { dataDirr: '/tmp' } });
    const node = run(() => ({ onInput: () => undefined }));
    assert.match(node.errors.join(), /"dbackup" in settings.js is not valid/);
    assert.match(String((await node.receive({})).error), /dataDirr/);
  });

  it('sends and fails through the node that bears the id after a deploy', async () => {
    const gate = Promise.withResolvers<void>();
    let fails = false;
    const old = run(() => ({
      async onInput(message, deliver) {
        await gate.promise;
        if (fails) throw new BackupError('no-space', 'full');
        deliver(message);
      },
    }));
    const sending = old.receive({ payload: 1 });
    const successor = red.start(raw);
    gate.resolve();
    assert.equal((await sending).error, undefined);
    assert.deepEqual([old.sent, successor.sent], [[], [{ payload: 1 }]]);
    fails = true;
    assert.equal((await old.receive({})).error, undefined, 'the Catch nodes of the old one are gone');
    assert.match(successor.errors.join(), /full/);
  });

  it('says in the log that a result went nowhere when the node was removed', async () => {
    const gate = Promise.withResolvers<void>();
    const node = run(() => ({
      async onInput(message, deliver) {
        await gate.promise;
        deliver(message);
      },
    }));
    const ending = node.receive({});
    red.running.delete('n');
    gate.resolve();
    await ending;
    assert.match(red.logged.join(), /\[dbackup-test:Test\] was removed/);
  });

  it('waits with sending until a deploy has started the new nodes', async () => {
    const node = run(() => ({ onInput: (message, deliver) => deliver(message) }));
    red.events.emit('flows:stopping');
    const ending = node.receive({ payload: 1 });
    await new Promise(setImmediate);
    assert.deepEqual(node.sent, []);
    const successor = red.start(raw);
    red.events.emit('flows:started');
    await ending;
    assert.deepEqual(successor.sent, [{ payload: 1 }]);
  });

  it('brings settings of an older version up to date, and refuses those of a newer one', async () => {
    let seen: number | undefined;
    const definition = testNode(
      ({ settings }) => {
        seen = settings.count;
        return {};
      },
      { schemaVersion: 2, migrations: { 1: (old) => ({ ...old, count: Number(old.number) * 10 }) } },
    );
    registerNodes(red.api, [definition]);
    red.start({ id: 'old', type: 'dbackup-test', number: '4', schemaVersion: 1 });
    assert.equal(seen, 40);
    const newer = red.start({ id: 'new', type: 'dbackup-test', count: '1', schemaVersion: 3 });
    assert.match(newer.errors.join(), /schemaVersion is 3, .* up to 2: update @dbackup\/node-red/);
  });

  it('finds what another node offers, and says what is wrong when there is none', () => {
    registerNodes(red.api, [testNode(() => ({ offers: [offer(NUMBER, { value: 7 })] }))]);
    red.start(raw);
    assert.equal(serviceOf(red.api, NUMBER, 'n').value, 7);
    const missing = { code: 'invalid-config', message: /The number that this node refers to is missing/ };
    assert.throws(() => serviceOf(red.api, NUMBER, 'other'), missing);
  });

  it('shares one runtime between node sets, each with a RED of its own', () => {
    registerNodes(red.api, [testNode(() => ({}))]);
    red.start(raw);
    const first = existingRuntime(red.api);
    red.types.clear();
    registerNodes(red.api, [testNode(() => ({}))]);
    red.start({ ...raw, id: 'm' });
    assert.ok(first !== undefined && existingRuntime(red.api) === first);
  });
});
