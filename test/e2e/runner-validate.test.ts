import assert from 'node:assert/strict';
import { existsSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { backupFlow, RunnerWorkspace } from '../support/runner-flows.ts';
import { dbackup } from '../support/runner-process.ts';
import { WEBHOOK_SECRET, WEBHOOK_TOKEN } from '../support/template-environment.ts';
import { NOTIFIER_VARIABLES, SERVER_VARIABLES, STORAGE_VARIABLES } from '../support/template-variables.ts';

const TEMPLATES = join(import.meta.dirname, '..', '..', 'flows');

describe('dbackup validate', function () {
  this.timeout(240_000);
  let work: RunnerWorkspace;

  beforeEach(() => {
    work = new RunnerWorkspace(200_000);
  });

  afterEach(() => work.remove());

  const validate = (flow: string, args: readonly string[] = [], env: NodeJS.ProcessEnv = {}) =>
    dbackup(['validate', flow, ...args], { env: work.env(env) });

  it('finds a sound flow valid and touches nothing', async () => {
    const { code, stdout } = await validate(work.flow());
    assert.equal(code, 0, stdout);
    assert.match(stdout, /flow\.json is valid/);
    assert.equal(existsSync(work.data), false);
    assert.deepEqual(readdirSync(work.first), []);
  });

  it('lists every problem at once', async () => {
    const at = { z: 'tab', x: 1, y: 1, schemaVersion: 1 };
    const nodes = backupFlow(work, {
      files: [],
      more: [
        { id: 'lost', type: 'dbackup-local', ...at, storage: 'disk1', folder: '../up', wires: [] },
        { id: 'odd', type: 'node-of-another-package', ...at, wires: [] },
        {
          id: 'bare',
          type: 'dbackup-encrypt',
          ...at,
          key: '',
          format: 'dbk',
          wires: [['squeeze', 'nowhere']],
        },
        { id: 'squeeze', type: 'dbackup-compress', ...at, algorithm: 'zstd', level: 99, wires: [['far']] },
        { id: 'gone', type: 'dbackup-local', ...at, storage: 'no-such-storage', wires: [] },
        {
          id: 'more',
          type: 'dbackup-sqlite',
          ...at,
          job: 'x',
          files: [variable('NOT_SET')],
          wires: [['bare']],
        },
      ],
    });
    const { code, stdout } = await validate(work.write('flow.json', nodes), ['--json'], {
      DBACKUP_MASTER_KEY: undefined,
    });
    assert.equal(code, 2);
    const answer = JSON.parse(stdout) as {
      valid: boolean;
      problems: { code: string; node?: string; field?: string }[];
    };
    assert.equal(answer.valid, false);
    const found = answer.problems.map(({ code: kind, node, field }) =>
      [kind, node, field].filter(Boolean).join(' '),
    );
    assert.deepEqual(found.sort(), [
      'compress-after-encrypt squeeze',
      'dangling-wire bare',
      'invalid-field lost folder',
      'invalid-field squeeze level',
      'invalid-field src files',
      'missing-config bare key',
      'missing-config gone storage',
      'missing-secret key',
      'unknown-type odd',
      'unreached-destination gone',
      'unreached-destination lost',
      'unresolved-variable more files',
    ]);
  });

  it('prints the same for people, errors first', async () => {
    const { code, stdout } = await validate(work.flow({ files: [] }));
    assert.equal(code, 2);
    const lines = stdout.trimEnd().split('\n');
    assert.match(lines[0] ?? '', /^error {4}"src" \(dbackup-sqlite src\), files: /);
    assert.match(lines.at(-1) ?? '', /flow\.json is not valid: 1 error$/);
  });

  it('passes a flow with warnings', async () => {
    const nodes = backupFlow(work, { key: null }).map((node) =>
      node.id === 'zip' ? { ...node, wires: [['near', 'far', 'elsewhere']] } : node,
    );
    const { code, stdout } = await validate(work.write('flow.json', nodes));
    assert.equal(code, 0);
    assert.match(stdout, /^warning .*wired to elsewhere, which is not in the flow$/m);
    assert.match(stdout, /is valid \(1 warning\)/);
  });

  it('checks credentials: missing, from variables, encrypted with another secret', async () => {
    const flow = work.flow({ key: { kind: 'passphrase' } });
    const missing = await validate(flow);
    assert.equal(missing.code, 2);
    assert.match(missing.stdout, /the key.*passphrase/);
    work.write('flow_cred.json', { key: { passphrase: variable('SHOP_SECRET') } });
    const unset = await validate(flow);
    assert.equal(unset.code, 2);
    assert.match(unset.stdout, /SHOP_SECRET or SHOP_SECRET_FILE/);
    assert.equal((await validate(flow, [], { SHOP_SECRET: 'long enough to pass' })).code, 0);
    work.write('flow_cred.json', { $: `${'0'.repeat(32)}abcdef` });
    const closed = await validate(flow);
    assert.equal(closed.code, 2);
    assert.match(closed.stderr, /DBACKUP_CREDENTIAL_SECRET/);
    const wrong = await validate(flow, [], { DBACKUP_CREDENTIAL_SECRET: 'another secret' });
    assert.notEqual(wrong.code, 0);
    assert.match(wrong.stderr, /secret does not open the credentials/);
    assert.doesNotMatch(wrong.stderr, /another secret/);
  });

  it('finds every template valid once its variables are set', async () => {
    const env = {
      APP_DATABASE: work.database,
      APP_DATABASE_2: work.database,
      BACKUP_DIR: work.first,
      BACKUP_DIR_2: work.second,
      BACKUP_DIR_3: join(work.root, 'third'),
      RESTORE_TO: join(work.root, 'restored.sqlite'),
      AGE_RECIPIENT: 'age1ql3z7hjy54pw3hyww5ayyfg7zqgvc7w3j2elw8zmrj2kg5sfn9aqmcac8p',
      BACKUP_WEBHOOK_TOKEN: WEBHOOK_TOKEN,
      BACKUP_WEBHOOK_SECRET: WEBHOOK_SECRET,
      ...SERVER_VARIABLES,
      ...STORAGE_VARIABLES,
      ...NOTIFIER_VARIABLES,
    };
    for (const template of readdirSync(TEMPLATES)) {
      const { code, stdout, stderr } = await validate(join(TEMPLATES, template), [], env);
      assert.equal(code, 0, `${template}: ${stdout}${stderr}`);
    }
  });
});

/** `${NAME}`, as a flow's settings write it. */
function variable(name: string): string {
  return `\${${name}}`;
}
