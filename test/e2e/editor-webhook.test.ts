import assert from 'node:assert/strict';
import { editorSuite } from '../support/editor/suite.ts';
import { bearerRequest } from '../support/signed-request.ts';

const TOKEN = 'only-for-those-who-may';
const TAB = { id: 'the-tab', type: 'tab', label: 'Test', disabled: false, info: '' };
const at = { z: 'the-tab', y: 120 };

/** A webhook that answers what it lets pass. */
const FLOW = [
  TAB,
  {
    id: 'the-request',
    type: 'http in',
    ...at,
    name: '',
    url: '/hook',
    method: 'post',
    upload: false,
    skipBodyParsing: false,
    swaggerDoc: '',
    x: 120,
    wires: [['the-webhook']],
  },
  {
    id: 'the-webhook',
    type: 'dbackup-webhook',
    ...at,
    name: '',
    check: 'bearer',
    parameters: ['databases', 'tags', 'note', 'pin'],
    schemaVersion: 1,
    x: 320,
    wires: [['the-answer']],
  },
  {
    id: 'the-answer',
    type: 'http response',
    ...at,
    name: '',
    statusCode: '202',
    headers: {},
    x: 520,
    wires: [],
  },
];

describe('A webhook in the editor', function () {
  this.timeout(240_000);
  const suite = editorSuite(() => ({ flow: FLOW }));
  afterEach(async () => {
    await suite.editor.closeForms();
    assert.deepEqual(suite.editor.problems, []);
  });

  const webhook = () => suite.editor.canvas.node('the-webhook');
  const send = (body: string, token: string) => fetch(`${suite.server.url}/hook`, bearerRequest(body, token));

  it('asks for a secret that cannot be guessed, and for a time window only where one is looked at', async () => {
    const form = await webhook().open();
    assert.equal(await form.reason('secret'), 'Secret: is missing');
    await form.fill('secret', 'short');
    assert.equal(await form.reason('secret'), 'Secret: must have at least 16 characters');
    await form.fill('secret', TOKEN);
    assert.deepEqual(await form.wrong(), []);
    await form.choose('check', 'signature');
    await form.unfold();
    assert.ok(await form.row('tolerance').isVisible());
    await form.fill('tolerance', '5');
    assert.match(await form.reason('tolerance'), /must be at least 10/);
    await form.choose('check', 'bearer');
    assert.ok(!(await form.row('tolerance').isVisible()));
    assert.deepEqual(await form.wrong(), []);
    assert.equal(await form.row('parameters').locator('input[type=checkbox]:checked').count(), 4);
    await form.row('parameters').getByText('pin it').click();
    await form.done();
    await suite.editor.deploy();
  });

  it('lets pass who has the token and says only what is ticked, and shows whom it refuses', async () => {
    assert.equal((await send('{"tags": ["a"]}', TOKEN)).status, 202);
    await webhook().shows(/^passed · \d\d:\d\d$/);
    assert.equal((await send('{}', 'another-token-1234567')).status, 401);
    await webhook().shows(/^refused: wrong secret · \d\d:\d\d$/);
    assert.equal(await webhook().statusColor(), 'yellow');
    assert.equal((await send('{"pin": true}', TOKEN)).status, 403);
    await webhook().shows(/^refused: not allowed · \d\d:\d\d$/);
    // Before the secret was typed there was one.
    assert.doesNotMatch(suite.server.output, /\[error\](?!.*secret is missing)/);
  });

  it('keeps the token on the server', async () => {
    const dialog = await suite.editor.exportDialog();
    const text = await dialog.text();
    await dialog.cancel();
    assert.ok(text.includes('dbackup-webhook') && !text.includes(TOKEN));
    assert.ok(!suite.server.output.includes(TOKEN));
  });
});
