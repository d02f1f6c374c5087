import assert from 'node:assert/strict';
import { discordOptions, discordPayload } from '../../lib/notifiers/discord.ts';
import { renderTemplate, templateProblem } from '../../lib/notifiers/template.ts';
import { renderTexts, templateProblems } from '../../lib/notifiers/templates.ts';
import { DISCORD, HTML, JSON_TEXT, PLAIN } from '../../lib/notifiers/text-format.ts';
import { customWebhookOptions, payloadProblem } from '../../lib/notifiers/webhook/custom.ts';
import { backupNodeTypes } from '../../nodes/schemas.ts';
import { sampleContent } from '../support/sample-events.ts';

const content = sampleContent('failed');

describe('templates of notifications', () => {
  it('know the fields of a content, with filters for sizes and times', () => {
    const template =
      '{{ job }} {{ event }} {{ severity }} {{ rawBytes | bytes }} {{ durationSeconds | duration }} {{ symbol }}' +
      '{% for database in databases %}|{{ database.name }} {{ database.status }} {{ database.bytes | bytes }} {{ database.error }}{% endfor %}';
    const shown = renderTemplate(template, content, PLAIN);
    assert.equal(
      shown,
      'shop failed error 1.2 GB 1 min 23 s 🔴|users failed 0 B The server db1 does not answer|shop ok 1.2 GB',
    );
  });

  it('escape values for the channel, and not what people write', () => {
    const nasty = { ...content, summary: '<b>*x*</b> "@everyone"' };
    assert.equal(
      renderTemplate('<b>{{ summary }}</b>', nasty, HTML),
      '<b>&#60;b&#62;*x*&#60;/b&#62; &#34;@everyone&#34;</b>',
    );
    assert.equal(
      renderTemplate('**{{ summary }}**', nasty, DISCORD),
      '**\\<b\\>\\*x\\*\\</b\\> "@\u200beveryone"**',
    );
    assert.deepEqual(
      JSON.parse(renderTemplate('{"a":"{{ summary }}","b":{{ databases }}}', nasty, JSON_TEXT)),
      {
        a: nasty.summary,
        b: nasty.databases,
      },
    );
    assert.equal(renderTemplate('{{ summary | raw }}', nasty, HTML), nasty.summary);
  });

  it('leave out what is not there', () => {
    assert.equal(renderTemplate('[{{ nothing }}{{ nothing.at.all }}]', content, PLAIN), '[]');
  });

  for (const [what, template, problem] of [
    ['an unclosed tag', 'fine\n{% if job %}', /error in line 2: tag .*if job.* not closed/],
    ['an unknown filter', 'a\nb\n{{ job | shout }}', /error in line 3: undefined filter: shout/],
    ['an unknown tag', '{% nonsense %}', /error in line 1: tag "nonsense" not found/],
    ['another file', '{% include "/etc/passwd" %}', /error in line 1: tag "include" not found/],
    ['another file by another tag', '{% render "/etc/passwd" %}', /tag "render" not found/],
    ['a layout', '{% layout "/etc/passwd" %}', /tag "layout" not found/],
    [
      'endless output',
      '{% for i in (1..9999) %}{% for j in (1..9999) %}{% for k in (1..9999) %}x{% endfor %}{% endfor %}{% endfor %}',
      /limit exceeded/,
    ],
    [
      'endless memory',
      '{% assign a = "xxxxxxxx" %}{% for i in (1..40) %}{% assign a = a | append: a %}{% endfor %}{{ a }}',
      /limit exceeded/,
    ],
  ] as const) {
    it(`refuse ${what}`, () => {
      assert.match(templateProblem(template, PLAIN) ?? 'it is fine', problem);
    });
  }

  it('see nothing but their own values', () => {
    for (const path of ['constructor', '__proto__', 'job.constructor', 'databases.constructor.constructor']) {
      assert.equal(renderTemplate(`{{ ${path} }}`, content, PLAIN), '');
    }
  });

  it('are left out with a note when they fail, are empty or too long', () => {
    const broken = renderTexts({ title: '{{ x | nope }}', body: 'fine {{ job }}' }, content, PLAIN, 1000);
    assert.equal(broken.title, content.title);
    assert.equal(broken.body, 'fine shop');
    assert.match(broken.notes.join(), /in place of the template of the title: .* line 1/);
    const empty = renderTexts({ title: '', body: '{{ nothing }} ' }, content, PLAIN, 1000);
    assert.equal(empty.body, undefined);
    assert.match(empty.notes.join(), /template of the text made an empty one/);
    const long = renderTexts({ title: '', body: 'x'.repeat(1001) }, content, PLAIN, 1000);
    assert.equal(long.body, undefined);
    assert.match(long.notes.join(), /it made 1001 characters, 1000 can be sent/);
  });

  it('cost no notification: the built-in text is sent with a note', () => {
    const options = discordOptions.omit({ url: true }).parse({ body: '{% if %}' });
    const [embed] = discordPayload(content, options).payload.embeds;
    assert.match(embed?.description ?? '', /shop: the backup has failed/);
    assert.match(embed?.description ?? '', /The built-in text is shown in place of the template of the text/);
    assert.ok((embed?.fields?.length ?? 0) > 3);
  });

  it('make titles of one line', () => {
    assert.equal(renderTexts({ title: 'a\n{{ job }}\r\nb', body: '' }, content, PLAIN, 10).title, 'a shop b');
  });

  it('are checked by the field that they stand in', () => {
    const found = templateProblems({ title: '{{', body: '{% x %}' }, PLAIN);
    assert.deepEqual(
      found.map(({ field }) => field),
      ['title', 'body'],
    );
    assert.deepEqual(templateProblems({ title: '', body: ' ' }, PLAIN), []);
  });

  it('make a flow invalid that they are wrong in, and leave it to the node to work all the same', () => {
    const check = (type: string, values: object, credentials: object) =>
      backupNodeTypes.get(type)?.check({ values: { ...values }, credentials: { ...credentials } });
    const teams = { url: 'https://example.com/workflow' };
    assert.deepEqual(check('dbackup-teams', {}, teams), []);
    assert.match(
      JSON.stringify(check('dbackup-teams', { body: 'a\n{% x %}' }, teams)),
      /"body".*error in line 2/,
    );
    const webhook = { preset: 'custom', payload: '{"a": {{ summary }}}' };
    assert.match(JSON.stringify(check('dbackup-notify-webhook', webhook, teams)), /"payload".*no valid JSON/);
  });

  it('of JSON bodies must make JSON', () => {
    const problem = (payload: string) =>
      payloadProblem(customWebhookOptions.parse({ preset: 'custom', url: 'https://example.com/', payload }));
    assert.match(problem('{"a": {{ summary }}}') ?? '', /makes no valid JSON/);
    assert.match(problem('{"a": {{ job }') ?? '', /error in line 1/);
    assert.equal(problem('{"a": "{{ summary }}"}'), undefined);
    assert.equal(problem(''), undefined);
  });
});
