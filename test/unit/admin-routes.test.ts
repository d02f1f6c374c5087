import assert from 'node:assert/strict';
import { EventEmitter } from 'node:events';
import { z } from 'zod';
import { BackupError } from '../../lib/errors.ts';
import { ADMIN_ROOT, ADMIN_ROUTES, type AdminApi, serveActions } from '../../nodes/admin-routes.ts';
import { type AnyNode, defineNode } from '../../nodes/define-node.ts';
import type { ActionEnvironment } from '../../nodes/form-actions.ts';
import { existingRuntime } from '../../nodes/runtime.ts';
import { allNodes } from '../../nodes/schemas.ts';
import { offer, type ServiceKey } from '../../nodes/services.ts';
import { FakeRed } from '../support/fake-red.ts';

type Handler = (request: object, response: object, next?: () => void) => void;

/** Express and Node-RED's adminAuth, as far as the routes use them. */
class FakeAdmin {
  readonly red = new FakeRed();
  readonly routes: { readonly path: string; readonly handlers: readonly Handler[] }[] = [];
  readonly guards = new Map<Handler, string>();
  allowed = true;

  get api(): AdminApi {
    const httpAdmin = {
      post: (path: string, ...handlers: Handler[]) => void this.routes.push({ path, handlers }),
    };
    const needsPermission = (permission: string) => {
      const guard: Handler = (_request, response, next) => {
        if (this.allowed) next?.();
        else (response as FakeResponse).status(401).json({});
      };
      this.guards.set(guard, permission);
      return guard;
    };
    return { ...this.red.api, httpAdmin, auth: { needsPermission } } as unknown as AdminApi;
  }

  /** Sends a request through all handlers of a route. */
  async ask(route: string, body: unknown): Promise<FakeResponse> {
    const found = this.routes.find(({ path }) => path === `${ADMIN_ROOT}/${route}`);
    assert.ok(found !== undefined, route);
    const response = new FakeResponse();
    const [guard, handler] = found.handlers;
    guard?.({ body }, response, () => handler?.({ body }, response));
    await response.answered;
    return response;
  }
}

class FakeResponse extends EventEmitter {
  code = 200;
  body: { [key: string]: unknown } = {};
  readonly #answer = Promise.withResolvers<void>();
  readonly answered = this.#answer.promise;

  status(code: number): this {
    this.code = code;
    return this;
  }

  json(body: { [key: string]: unknown }): void {
    this.body = body;
    this.#answer.resolve();
  }
}

function testNode(
  run: (
    settings: { readonly path: string; readonly secret?: string | undefined },
    environment: ActionEnvironment,
  ) => Promise<never>,
): AnyNode {
  return defineNode({
    type: 'dbackup-test',
    set: 'config',
    role: 'config',
    icon: 'x.svg',
    inputs: 0,
    outputs: 0,
    schemaVersion: 1,
    actions: [{ name: 'test', route: 'storages/test', icon: 'fa-plug', run }],
    schema: z.object({
      path: z.string().min(1),
      secret: z.string().optional().meta({ secret: true }),
    }),
    setup: () => ({}),
  });
}

describe('admin routes', () => {
  let admin: FakeAdmin;

  beforeEach(() => {
    admin = new FakeAdmin();
  });

  afterEach(async () => {
    await existingRuntime(admin.red)?.shutdown('the test ends');
  });

  it('are each guarded by the permission of the table, before anything else', () => {
    serveActions(admin.api, allNodes);
    assert.equal(admin.routes.length, ADMIN_ROUTES.length);
    for (const { route, permission } of ADMIN_ROUTES) {
      const found = admin.routes.find(({ path }) => path === `${ADMIN_ROOT}/${route}`);
      const [guard] = found?.handlers ?? [];
      assert.ok(guard !== undefined);
      assert.equal(admin.guards.get(guard), permission);
      // Those that act do it with the rights of the server.
      const harmless = ['schedules/next', 'retention/simulate'].includes(route) ? 'read' : 'write';
      assert.match(permission, new RegExp(`^dbackup\\.[a-z]+\\.${harmless}$`));
    }
  });

  it('answer nothing without the permission', async () => {
    serveActions(admin.api, [testNode(() => assert.fail('must not run'))]);
    admin.allowed = false;
    const { code } = await admin.ask('storages/test', { type: 'dbackup-test', settings: { path: '/x' } });
    assert.equal(code, 401);
  });

  it('are registered once, however many node sets come', () => {
    const { api } = admin;
    for (const node of allNodes) serveActions(api, [node]);
    assert.equal(admin.routes.length, ADMIN_ROUTES.length);
  });

  it('are left out where Node-RED has no admin side', () => {
    serveActions(admin.red.api, allNodes);
    assert.equal(admin.routes.length, 0);
  });

  it('refuse what is no question, and a node type that does not answer there', async () => {
    serveActions(admin.api, allNodes);
    for (const body of [undefined, 'x', { type: 'dbackup-sqlite' }, { type: 'exec', settings: {} }]) {
      assert.equal((await admin.ask('storages/test', body)).code, 400, JSON.stringify(body));
    }
    const other = { type: 'dbackup-sqlite', settings: { files: ['/x'] } };
    assert.equal((await admin.ask('storages/test', other)).code, 400, 'sqlite does not test storages');
  });

  it('check the form as the runtime does, and name what is wrong', async () => {
    serveActions(admin.api, [testNode(() => assert.fail('must not run'))]);
    const { body } = await admin.ask('storages/test', { type: 'dbackup-test', settings: { path: '' } });
    assert.deepEqual(body, { level: 'error', message: 'This node is not set up: path is missing' });
  });

  it('run with unsaved values, the kept secret and the variables of the environment', async () => {
    let seen: unknown;
    const node = testNode(async (settings) => {
      seen = settings;
      throw new BackupError('permission', 'The folder may not be written');
    });
    serveActions(admin.api, [node]);
    admin.red.stored.set('node-id', { secret: 'kept' });
    admin.red.deployed.push({ id: 'node-id', type: 'dbackup-test' });
    process.env.DBACKUP_TEST_PATH = '/from/environment';
    const settings = { path: '${' + 'DBACKUP_TEST_PATH}', secret: '__PWRD__' };
    const { body } = await admin.ask('storages/test', { type: 'dbackup-test', id: 'node-id', settings });
    delete process.env.DBACKUP_TEST_PATH;
    assert.deepEqual(seen, { path: '/from/environment', secret: 'kept' });
    assert.deepEqual(body, { level: 'error', message: 'The folder may not be written' });
    assert.ok(!JSON.stringify(body).includes('kept'));
  });

  it('keep the secrets of a node of another type to itself', async () => {
    let seen: unknown;
    const node = testNode(async (settings) => {
      seen = settings;
      throw new BackupError('permission', 'No');
    });
    serveActions(admin.api, [node]);
    admin.red.stored.set('other-id', { secret: 'of another' });
    admin.red.deployed.push({ id: 'other-id', type: 'mqtt-broker' });
    const settings = { path: '/x', secret: '__PWRD__' };
    await admin.ask('storages/test', { type: 'dbackup-test', id: 'other-id', settings });
    assert.deepEqual(seen, { path: '/x', secret: undefined });
  });

  it('run with a stand-in for what does not matter, and only while it is empty', async () => {
    const seen: unknown[] = [];
    const node = {
      ...testNode(async (settings) => {
        seen.push(settings);
        throw new BackupError('permission', 'No');
      }),
      schema: z.object({ job: z.string().min(1), list: z.array(z.string()).min(1) }),
    };
    const [action] = node.actions ?? [];
    assert.ok(action);
    const standIns = { job: 'any', list: ['one'] };
    serveActions(admin.api, [{ ...node, actions: [{ ...action, standIns }] }]);
    for (const settings of [
      { job: '', list: [''] },
      { job: 'shop', list: ['two'] },
    ]) {
      await admin.ask('storages/test', { type: 'dbackup-test', settings });
    }
    assert.deepEqual(seen, [standIns, { job: 'shop', list: ['two'] }]);
  });

  describe('with config nodes that the form refers to', () => {
    const ACCOUNT: ServiceKey<string> = { name: 'account' };
    const account = defineNode({
      type: 'dbackup-account',
      set: 'config',
      role: 'config',
      icon: 'x.svg',
      inputs: 0,
      outputs: 0,
      schemaVersion: 1,
      schema: z.object({
        user: z.string().min(1),
        password: z.string().optional().meta({ secret: true }),
        via: z
          .string()
          .optional()
          .meta({ configTypes: ['dbackup-account'] }),
      }),
      setup({ settings: { user, password, via }, use }) {
        const way = via === undefined ? '' : ` via ${use(ACCOUNT, via)}`;
        return { offers: [offer(ACCOUNT, `${user}:${password ?? ''}${way}`)] };
      },
    });
    const source: AnyNode = {
      ...testNode(() => assert.fail('another action runs')),
      actions: [
        {
          name: 'test',
          route: 'storages/test',
          icon: 'fa-plug',
          run: async ({ account: id }: { account: string }, { use }) => ({
            level: 'ok',
            text: use(ACCOUNT, id),
          }),
        },
      ],
      schema: z.object({
        account: z
          .string()
          .min(1)
          .meta({ configTypes: ['dbackup-account'] }),
      }),
    };
    const ask = async (references: unknown[]) => {
      serveActions(admin.api, [source, account]);
      const settings = { account: 'main' };
      return (await admin.ask('storages/test', { type: 'dbackup-test', settings, references })).body;
    };
    const main = (settings: object) => ({ id: 'main', type: 'dbackup-account', settings });

    it('take them as they stand in the editor, with the secrets that only the server knows', async () => {
      admin.red.stored.set('bastion', { password: 'kept' });
      admin.red.deployed.push({ id: 'bastion', type: 'dbackup-account' });
      const answer = await ask([
        main({ user: 'unsaved', password: 'typed', via: 'bastion' }),
        { id: 'bastion', type: 'dbackup-account', settings: { user: 'jump', password: '__PWRD__' } },
      ]);
      assert.deepEqual(answer, { level: 'ok', text: 'unsaved:typed via jump:kept' });
    });

    it('say which one is not set up, or missing', async () => {
      const wrong = await ask([main({ name: 'Main', user: '' })]);
      assert.equal(wrong.message, 'dbackup-account "Main" is not set up: user is missing');
      const missing = await ask([]);
      assert.match(String(missing.message), /refers to the account main, which is not in the flow/);
    });

    it('take only config nodes of this package', async () => {
      const answer = await ask([{ id: 'main', type: 'dbackup-test', settings: { account: 'x' } }]);
      assert.match(String(answer.message), /refers to the account main, which is not in the flow/);
    });
  });

  it('stop working when the person has gone', async () => {
    const stopped = Promise.withResolvers<void>();
    serveActions(admin.api, [
      testNode(async (_settings, { signal }) => {
        signal.addEventListener('abort', () => stopped.resolve());
        return new Promise<never>(() => undefined);
      }),
    ]);
    const found = admin.routes.find(({ path }) => path === `${ADMIN_ROOT}/storages/test`);
    const response = new FakeResponse();
    found?.handlers[1]?.({ body: { type: 'dbackup-test', settings: { path: '/x' } } }, response);
    await new Promise(setImmediate);
    response.emit('close');
    await stopped.promise;
  });
});
