import assert from 'node:assert/strict';
import { readdir, readFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { ADMIN_ROOT, ADMIN_ROUTES } from '../../nodes/admin-routes.ts';
import { allNodes } from '../../nodes/schemas.ts';
import { createDatabase } from '../fixtures/sqlite-database.ts';
import { RecordingHttp } from '../servers/recording-http.ts';
import { startSshd, type TestSshd } from '../servers/sshd.ts';
import { editorSuite } from '../support/editor/suite.ts';
import { installPacked } from '../support/installed-package.ts';

const ROOT = join(import.meta.dirname, '../..');
const PASSWORD = 'a password of the tests';

/** People by name, with what they may do. */
const PEOPLE: Readonly<Record<string, readonly string[]>> = {
  owner: ['*'],
  viewer: ['flows.read'],
  reader: ['read'],
  storekeeper: ['flows.read', 'dbackup.storages.write'],
};

interface Question {
  readonly type: string;
  readonly id?: string;
  readonly settings: Readonly<Record<string, unknown>>;
  /** What the answer is; `ok` without it. */
  readonly level?: string;
}

/** A schedule that does not fire while the test runs. */
const MONTHLY = { every: 'month', day: '1', time: '02:30', schemaVersion: 1 };

const KEEP_THREE = { from: 'message', keepLast: 3, schemaVersion: 1 };

interface NodeSetInfo {
  readonly id: string;
  readonly types: readonly string[];
  readonly enabled: boolean;
  readonly err?: string;
}

describe('The packed package on Node-RED 5, where people sign in', function () {
  this.timeout(240_000);
  let ssh: TestSshd;
  let recorder: RecordingHttp;
  const suite = editorSuite(async (folder) => {
    ssh = await startSshd();
    recorder = await RecordingHttp.start();
    recorder.usual = { body: 'OK' };
    createDatabase(join(folder, 'shop.sqlite'), { megabytes: 1 });
    return {
      flow: [
        { id: 'the-tab', type: 'tab', label: 'Test' },
        {
          id: 'the-schedule',
          type: 'dbackup-schedule',
          z: 'the-tab',
          ...MONTHLY,
          x: 120,
          y: 80,
          wires: [[]],
        },
      ],
      install: (userDir) => installPacked(userDir, []),
      settings: { adminAuth: { type: 'credentials', users: users() } },
      editor: { signIn: { username: 'owner', password: PASSWORD } },
    };
  });
  after(() => Promise.all([ssh?.stop(), recorder?.close()]));
  const tokens = new Map<string, string>();

  before(async () => {
    for (const name of Object.keys(PEOPLE)) tokens.set(name, await signIn(name));
  });

  it('loads all its node sets without a complaint', async () => {
    const { version } = await get<{ version: string }>('/settings');
    assert.match(version, /^5\./);
    const all = await get<NodeSetInfo[]>('/nodes');
    const sets = all.filter(({ id }) => id.startsWith('@dbackup/node-red/'));
    const manifest = JSON.parse(await readFile(join(ROOT, 'package.json'), 'utf8'));
    assert.deepEqual(
      sets.map(({ id }) => id.replace('@dbackup/node-red/', '')).sort(),
      Object.keys(manifest['node-red'].nodes).sort(),
    );
    for (const { id, enabled, err } of sets) {
      assert.equal(err, undefined, id);
      assert.equal(enabled, true, id);
    }
    assert.deepEqual(sets.flatMap(({ types }) => types).sort(), allNodes.map(({ type }) => type).sort());
    assert.doesNotMatch(suite.server.output, /\[error\]|dbackup.*not loaded/i);
  });

  it('has questions of this test for every admin route', () => {
    assert.deepEqual(Object.keys(questions()).sort(), ADMIN_ROUTES.map(({ route }) => route).sort());
  });

  for (const { route, permission } of ADMIN_ROUTES) {
    it(`answers on ${route} only those who may ask`, async () => {
      assert.equal((await ask(route)).status, 401, 'without a token');
      assert.equal((await ask(route, 'not-a-token')).status, 401, 'with a wrong token');
      for (const [name, permissions] of Object.entries(PEOPLE)) {
        const answer = await ask(route, tokens.get(name));
        if (permissions.some((given) => covers(given, permission))) {
          assert.equal(answer.status, 200, name);
          assert.deepEqual([name, await levelOf(answer)], [name, questions()[route]?.level ?? 'ok']);
        } else {
          assert.deepEqual([name, answer.status], [name, 401]);
          assert.equal(await answer.text(), '');
        }
      }
    });
  }

  it('lists every example, and imports each without unknown nodes', async () => {
    const { editor } = suite;
    const shipped = (await readdir(join(ROOT, 'flows'))).map((file) => file.replace('.json', '')).sort();
    const listed = await get<{ fn: string }[]>('/library/examples/flows/@dbackup/node-red/');
    assert.deepEqual(listed.map(({ fn }) => fn).sort(), shipped);
    for (const name of shipped) {
      const dialog = await editor.importDialog();
      assert.deepEqual(await dialog.examples(), shipped);
      await dialog.choose(name);
      assert.deepEqual(await editor.canvas.unknown(), [], name);
      for (const said of await editor.notifications()) assert.match(said, /^Imported:/, name);
    }
    assert.deepEqual(editor.problems, []);
  });

  /** What a form would ask each route. */
  function questions(): Readonly<Record<string, Question>> {
    const { folder } = suite;
    const schedule = { type: 'dbackup-schedule', id: 'the-schedule', settings: MONTHLY };
    return {
      'storages/test': {
        type: 'dbackup-local-storage',
        settings: { root: join(folder, 'backups'), create: true },
      },
      'servers/test': {
        type: 'dbackup-ssh',
        settings: {
          host: ssh.host,
          port: String(ssh.port),
          user: ssh.user,
          auth: 'key',
          keyFile: ssh.key.file,
          hostKeys: [ssh.hostKeys.ed25519],
        },
      },
      'sources/databases': {
        type: 'dbackup-sqlite',
        settings: { job: 'shop', files: [join(folder, 'shop.sqlite')] },
      },
      'keys/test': {
        type: 'dbackup-key',
        settings: { kind: 'passphrase', passphrase: 'correct horse battery' },
      },
      'notifiers/test': {
        type: 'dbackup-notify-webhook',
        settings: { preset: 'healthchecks', url: recorder.url, schemaVersion: 1 },
      },
      // Nothing leads to this node.
      'retention/dry-run': { type: 'dbackup-retention', settings: KEEP_THREE, level: 'warning' },
      'retention/simulate': { type: 'dbackup-retention', settings: KEEP_THREE },
      'schedules/next': schedule,
      'schedules/fire': schedule,
      'schedules/pause': schedule,
      'schedules/resume': schedule,
    };
  }

  function ask(route: string, token?: string): Promise<Response> {
    return fetch(`${suite.server.url}${ADMIN_ROOT}/${route}`, {
      method: 'POST',
      headers: { 'content-type': 'application/json', ...bearer(token) },
      body: JSON.stringify(questions()[route]),
    });
  }

  async function levelOf(answer: Response): Promise<string> {
    return ((await answer.json()) as { level: string }).level;
  }

  function get<Answer>(path: string): Promise<Answer> {
    return suite.server.get<Answer>(path, bearer(tokens.get('owner')));
  }

  async function signIn(username: string): Promise<string> {
    const question = {
      client_id: 'node-red-admin',
      grant_type: 'password',
      scope: '',
      username,
      password: PASSWORD,
    };
    const answer = await fetch(`${suite.server.url}/auth/token`, {
      method: 'POST',
      body: new URLSearchParams(question),
    });
    assert.equal(answer.status, 200, username);
    return ((await answer.json()) as { access_token: string }).access_token;
  }
});

/** As Node-RED understands it: who may read may read everything. */
function covers(given: string, permission: string): boolean {
  return given === '*' || given === permission || (given === 'read' && permission.endsWith('.read'));
}

function bearer(token: string | undefined): Record<string, string> {
  return token === undefined ? {} : { authorization: `Bearer ${token}` };
}

function users() {
  const password = hash(PASSWORD);
  return Object.entries(PEOPLE).map(([username, permissions]) => ({ username, password, permissions }));
}

/** As `node-red admin hash-pw` makes it, with fewer rounds. */
function hash(password: string): string {
  const nodeRed = createRequire(createRequire(import.meta.url).resolve('node-red/red.js'));
  const bcrypt = nodeRed('bcryptjs') as { hashSync(password: string, rounds: number): string };
  return bcrypt.hashSync(password, 4);
}
