import assert from 'node:assert/strict';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { BackupError } from '../../lib/errors.ts';
import { masterSecret } from '../../lib/keys/master-secret.ts';

const SECRET = 'a master secret';

describe('master secret', () => {
  let folder: string;

  before(async () => {
    folder = await mkdtemp(join(tmpdir(), 'dbackup-secret-'));
  });

  after(async () => {
    await rm(folder, { recursive: true });
  });

  async function fileOf(content: string): Promise<string> {
    const file = join(folder, 'secret');
    await writeFile(file, content);
    return file;
  }

  it('comes from the credential, a variable or a file, in this order', async () => {
    const file = await fileOf(`${SECRET} of the file\n`);
    const env = { DBACKUP_MASTER_KEY_FILE: file };
    assert.equal(await masterSecret({ env: {} }), undefined);
    assert.equal(await masterSecret({ credential: '', env: {} }), undefined);
    assert.equal(await masterSecret({ env }), `${SECRET} of the file`);
    assert.equal(await masterSecret({ env: { DBACKUP_MASTER_KEY: SECRET } }), SECRET);
    assert.equal(await masterSecret({ credential: 'from the credential', env }), 'from the credential');
  });

  it('loses one line break at the end of its file, and nothing else', async () => {
    for (const [content, secret] of [
      [`${SECRET}\r\n`, SECRET],
      [`${SECRET}\n\n`, `${SECRET}\n`],
      [` ${SECRET} `, ` ${SECRET} `],
    ] as const) {
      const env = { DBACKUP_MASTER_KEY_FILE: await fileOf(content) };
      assert.equal(await masterSecret({ env }), secret);
    }
  });

  it('is refused when it is empty, weak, doubled or cannot be read', async () => {
    const cases: [NodeJS.ProcessEnv, string | undefined, RegExp][] = [
      [{ DBACKUP_MASTER_KEY: '' }, undefined, /DBACKUP_MASTER_KEY is empty/],
      [{ DBACKUP_MASTER_KEY: 'only 11 cha' }, undefined, /12 characters/],
      [{ DBACKUP_MASTER_KEY_FILE: await fileOf('\n') }, undefined, /is empty/],
      [{ DBACKUP_MASTER_KEY_FILE: '' }, undefined, /is empty/],
      [{ DBACKUP_MASTER_KEY_FILE: join(folder, 'none') }, undefined, /cannot be read/],
      [{ DBACKUP_MASTER_KEY: SECRET, DBACKUP_MASTER_KEY_FILE: 'x' }, undefined, /Both/],
      [{}, 'short', /12 characters/],
    ];
    for (const [env, credential, text] of cases) {
      await assert.rejects(masterSecret({ credential, env }), (error) => {
        assert.ok(error instanceof BackupError);
        assert.match(error.message, text);
        assert.ok(!error.message.includes('only 11 cha'));
        return true;
      });
    }
  });
});
