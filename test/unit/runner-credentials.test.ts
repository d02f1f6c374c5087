import assert from 'node:assert/strict';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import fc from 'fast-check';
import { decryptCredentials, encryptCredentials, readCredentials } from '../../runner/credentials.ts';

/** Node-RED's own syntax for a variable of the environment. */
const variable = (name: string): string => `\${${name}}`;

describe('Credentials of a flow', () => {
  it('are the same after encrypting and decrypting', () => {
    const name = fc.stringMatching(/^[a-z0-9]{1,8}$/);
    const credentials = fc.dictionary(name, fc.dictionary(name, fc.string()));
    fc.assert(
      fc.property(credentials, fc.string({ minLength: 1 }), (plain, secret) => {
        assert.deepEqual(
          decryptCredentials(encryptCredentials(plain, secret), secret),
          structuredClone(plain),
        );
      }),
    );
  });

  it('are refused with a wrong secret, without naming either', () => {
    const encrypted = encryptCredentials({ node: { password: 'hunter2hunter2' } }, 'right secret');
    assert.throws(
      () => decryptCredentials(encrypted, 'wrong secret'),
      (error: Error) =>
        /credentialSecret/.test(error.message) && !/hunter2|right secret|wrong secret/.test(error.message),
    );
  });

  it('are taken when Node-RED has not encrypted them', () => {
    assert.deepEqual(decryptCredentials({ node: { password: 'x' } }, ''), { node: { password: 'x' } });
  });

  for (const content of [undefined, null, 5, 'text', [], { $: 5 }, { $: 'short' }, { node: 'text' }]) {
    it(`are refused when they are ${JSON.stringify(content)}`, () => {
      assert.throws(() => decryptCredentials(content, 'secret'), { code: /^(invalid-config|wrong-key)$/ });
    });
  }

  it('take values from the environment and from files, deep inside too', async () => {
    const dir = await mkdtemp(path.join(tmpdir(), 'dbackup-credentials-'));
    try {
      const file = path.join(dir, 'secret');
      await writeFile(file, 'from a file\n');
      const plain = {
        a: { password: variable('ONE'), map: { token: variable('TWO') }, list: [variable('ONE')] },
      };
      const found = readCredentials({ plain }, [], { ONE: 'one', TWO_FILE: file });
      assert.deepEqual(found, { a: { password: 'one', map: { token: 'from a file' }, list: ['one'] } });
    } finally {
      await rm(dir, { recursive: true });
    }
  });

  it('take variables that stand in the flow itself, unless something else is given for the node', () => {
    const flows = [
      { id: 'a', type: 'server', credentials: { password: variable('ONE') } },
      { id: 'b', type: 'server', credentials: { password: variable('ONE'), token: variable('TWO') } },
      { id: 'c', type: 'server', credentials: { password: 'a secret that does not belong there' } },
      { id: 'd', type: 'server', credentials: 'no table' },
    ];
    const found = readCredentials({ plain: { b: { password: 'given' } } }, flows, { ONE: 'one', TWO: 'two' });
    assert.deepEqual(found, { a: { password: 'one' }, b: { password: 'given', token: 'two' }, c: {} });
    assert.throws(
      () => readCredentials(undefined, flows, { ONE: 'one' }),
      /needs the environment variable TWO/,
    );
  });

  it('prefer the variable to the file, and keep text that only contains a variable', () => {
    const plain = { a: { x: variable('X'), y: `a ${variable('X')}` } };
    const found = readCredentials({ plain }, [], { X: '', X_FILE: '/no/such/file' });
    assert.deepEqual(found, { a: { x: '', y: `a ${variable('X')}` } });
  });

  it('name every variable that is not set', () => {
    const plain = { a: { x: variable('X') }, b: { y: variable('Y') } };
    assert.throws(() => readCredentials({ plain }, [], {}), {
      code: 'invalid-config',
      message: /node a\.x needs the environment variable X or X_FILE; .*node b\.y needs .* Y or Y_FILE/,
    });
  });

  it('name the variable whose file cannot be read', () => {
    const plain = { a: { x: variable('X') } };
    assert.throws(() => readCredentials({ plain }, [], { X_FILE: '/no/such/file' }), {
      code: 'not-found',
      message: /X_FILE/,
    });
  });

  it('leave names that the flow itself defines to Node-RED', () => {
    const plain = { a: { x: variable('FLOW_NAME') } };
    const tab = { id: 't', type: 'tab', env: [{ name: 'FLOW_NAME', type: 'str', value: 'v' }] };
    assert.deepEqual(readCredentials({ plain }, [tab], {}), plain);
  });

  it('may be missing', () => {
    assert.deepEqual(readCredentials(undefined, [], {}), {});
  });
});
