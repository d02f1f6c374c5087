import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { ROOT } from '../../build/sources.ts';
import { checkFlow } from '../../lib/plan/flow-check.ts';
import { parseFlow } from '../../lib/plan/flow-file.ts';
import { substituteVariables } from '../../nodes/forms/environment.ts';
import { formOf } from '../../nodes/forms/settings.ts';
import { backupNodeTypes, nodeSchemas } from '../../nodes/schemas.ts';
import { NOTIFIER_VARIABLES, SERVER_VARIABLES, STORAGE_VARIABLES } from '../support/template-variables.ts';

const names = readdirSync(join(ROOT, 'flows'));

/** What the templates' comments ask a person to set. */
const ENVIRONMENT = {
  APP_DATABASE: '/srv/app/app.sqlite',
  APP_DATABASE_2: '/srv/app/users.sqlite',
  BACKUP_DIR: '/var/backups/one',
  BACKUP_DIR_2: '/var/backups/two',
  DBACKUP_MASTER_KEY: 'correct-horse-battery',
  AGE_RECIPIENT: 'age1ql3z7hjy54pw3hyww5ayyfg7zqgvc7w3j2elw8zmrj2kg5sfn9aqmcac8p',
  RESTORE_TO: '/srv/app/restored.sqlite',
  BACKUP_WEBHOOK_TOKEN: 'a-token-of-the-tests',
  BACKUP_WEBHOOK_SECRET: 'a-secret-of-the-tests',
  ...SERVER_VARIABLES,
  ...STORAGE_VARIABLES,
  ...NOTIFIER_VARIABLES,
};

const variable = (name: string) => Object.entries(ENVIRONMENT).find(([key]) => key === name)?.[1];

function problems(name: string, environment: Record<string, string>) {
  const nodes = parseFlow(readFileSync(join(ROOT, 'flows', name), 'utf8'), name);
  const found = checkFlow(nodes, {
    backupTypes: backupNodeTypes,
    isKnownType: (type) => /^(inject|debug|catch|comment|change|switch|http (in|response))$|^tab$/.test(type),
    environment,
    credentialsOf: ({ credentials }) => substituteVariables({ ...Object(credentials) }, variable),
  });
  // A flow that only restores is meant to be one.
  return found.filter(({ code }) => code !== 'no-source');
}

describe('flow templates', () => {
  it('are numbered without gaps, one purpose each', () => {
    const numbers = names.map((name) => Number(/^(\d\d)-[a-z0-9-]+\.json$/.exec(name)?.[1]));
    assert.deepEqual(
      numbers,
      names.map((_name, index) => index + 1),
    );
  });

  for (const name of names) {
    describe(name, () => {
      const text = readFileSync(join(ROOT, 'flows', name), 'utf8');
      const nodes = parseFlow(text, name);

      it('is valid in every field once its variables are set', () => {
        assert.deepEqual(problems(name, ENVIRONMENT), []);
      });

      it('names the variables that are not set', () => {
        const found = problems(name, {});
        assert.ok(found.length > 0);
        for (const problem of found) assert.equal(problem.code, 'unresolved-variable', problem.message);
      });

      it('says which variables it needs, in a comment and in the text of its tab', () => {
        const used = new Set([...text.matchAll(/"\$\{(\w+)\}"/g)].map(([, variable]) => variable));
        const comment = nodes.find(({ type }) => type === 'comment');
        const tab = nodes.find(({ type }) => type === 'tab');
        for (const variable of used) {
          assert.ok(String(comment?.info).includes(`\`${variable}\``), `${variable} in the comment`);
          assert.ok(String(tab?.info).includes(`\`${variable}\``), `${variable} in the tab's text`);
        }
      });

      it('states every setting of its backup nodes, with the version', () => {
        for (const node of nodes) {
          const definition = nodeSchemas[node.type];
          if (definition === undefined) continue;
          assert.equal(node.schemaVersion, definition.schemaVersion, node.type);
          const form = formOf(definition.schema);
          const chosen = form.discriminator === undefined ? undefined : node[form.discriminator];
          for (const { name: field, secret, cases } of form.fields) {
            const applies = cases.some(({ when }) => when === undefined || when === chosen);
            if (applies && !secret) assert.ok(field in node, `${node.type}.${field}`);
            if (secret) assert.ok(!(field in node), `${node.type}.${field} is a secret`);
          }
        }
      });

      it('reports errors: nothing fails unseen', () => {
        assert.ok(nodes.some(({ type }) => type === 'catch'));
      });
    });
  }

  it('have ids of their own, so that several can be imported', () => {
    const ids = names.flatMap((name) =>
      parseFlow(readFileSync(join(ROOT, 'flows', name), 'utf8'), name).map(({ id }) => id),
    );
    assert.equal(new Set(ids).size, ids.length);
  });
});
