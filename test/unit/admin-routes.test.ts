import assert from 'node:assert/strict';
import { EventEmitter } from 'node:events';
import { z } from 'zod';
import { BackupError } from '../../lib/errors.ts';
import { ADMIN_ROOT, ADMIN_ROUTES, type AdminApi, serveActions } from '../../nodes/admin-routes.ts';
import { type AnyNode, defineNode } from '../../nodes/define-node.ts';
import type { ActionEnvironment } from '../../nodes/form-actions.ts';
import { existingRuntime } from '../../nodes/runtime.ts';
import { allNodes } from '../../nodes/schemas.ts';
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
      assert.match(permission, /^dbackup\.[a-z]+\.write$/, 'they act with the rights of the server');
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
    process.env.DBACKUP_TEST_PATH = '/from/environment';
    const settings = { path: '${' + 'DBACKUP_TEST_PATH}', secret: '__PWRD__' };
    const { body } = await admin.ask('storages/test', { type: 'dbackup-test', id: 'node-id', settings });
    delete process.env.DBACKUP_TEST_PATH;
    assert.deepEqual(seen, { path: '/from/environment', secret: 'kept' });
    assert.deepEqual(body, { level: 'error', message: 'The folder may not be written' });
    assert.ok(!JSON.stringify(body).includes('kept'));
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
