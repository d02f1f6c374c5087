import assert from 'node:assert/strict';
import fc from 'fast-check';
import { EVENT_NAMES, SEVERITIES } from '../../lib/events/run-event.ts';
import type { NotificationContent } from '../../lib/notifiers/content.ts';
import { DISCORD_LIMITS, discordOptions, discordPayload } from '../../lib/notifiers/discord.ts';
import { composeLetter } from '../../lib/notifiers/email.ts';
import { emailOptions } from '../../lib/notifiers/email-options.ts';
import { SLACK_LIMITS, slackPayload } from '../../lib/notifiers/slack.ts';
import { TEAMS_LIMIT, teamsPayload } from '../../lib/notifiers/teams.ts';
import { TELEGRAM_HTML, TELEGRAM_MARKDOWN } from '../../lib/notifiers/text-format.ts';
import { createCustomWebhook, customWebhookOptions } from '../../lib/notifiers/webhook/custom.ts';
import { gotifyPayload } from '../../lib/notifiers/webhook/gotify.ts';
import { pingAddress } from '../../lib/notifiers/webhook/healthchecks.ts';
import { NTFY_LIMITS, ntfyPayload } from '../../lib/notifiers/webhook/ntfy.ts';
import { PAGERDUTY_LIMITS, pagerdutyPayload } from '../../lib/notifiers/webhook/pagerduty.ts';
import { TELEGRAM_LIMIT, telegramPayload } from '../../lib/notifiers/webhook/telegram.ts';
import { contentOf } from '../support/sample-events.ts';

const NONE = { title: '', body: '' };
const CASES = { numRuns: 150 };

/** What somebody may name a database, or a server may say, to make a message do something. */
const NASTY = [
  '@everyone',
  '@here',
  '<!channel>',
  '<@U123>',
  '<@&42>',
  '<https://evil.example/|click>',
  '[click](https://evil.example/)',
  '**bold** _x_ `y` ~~z~~ ||w||',
  '<script>alert(1)</script>',
  '<img src=x onerror=alert(1)>',
  '<a href="https://evil.example/">x</a>',
  '</b><b>',
  '&amp;&lt;',
  'x\r\nBcc: everybody@example.com\r\n\r\nbody',
  '{{ 7 | times: 7 }}{% include "/etc/passwd" %}',
  '"}],"text":"',
  '\u202egnp.exe\u0000\u001b[31m',
  '\ud800',
  '€'.repeat(400),
  '\\'.repeat(300),
  '*'.repeat(300),
  '{{DATE(2026-01-01T00:00:00Z)}}',
];

const text = fc.oneof(
  fc.constantFrom(...NASTY),
  fc.string({ unit: 'binary', maxLength: 700 }),
  fc.tuple(fc.string({ maxLength: 20 }), fc.constantFrom(...NASTY)).map((parts) => parts.join('')),
);
const error = fc.record({ code: fc.constant('internal'), message: text, transient: fc.boolean() });

/** Events with anything in them. */
const event = fc.record(
  {
    event: fc.constantFrom(...EVENT_NAMES),
    at: fc.constant('2026-11-23T01:31:23.000Z'),
    severity: fc.constantFrom(...SEVERITIES),
    summary: text,
    job: text,
    runId: text,
    durationSeconds: fc.nat(),
    rawBytes: fc.nat(),
    trigger: text,
    databases: fc.array(
      fc.record(
        {
          name: text,
          node: fc.constant('n'),
          status: fc.constantFrom('ok', 'failed'),
          rawBytes: fc.nat(),
          error,
        },
        { requiredKeys: ['name', 'node', 'status'] },
      ),
      { maxLength: 120 },
    ),
    destinations: fc.array(
      fc.record(
        {
          label: text,
          node: fc.constant('n'),
          status: fc.constantFrom('complete', 'partial', 'failed'),
          storage: text,
          path: text,
          storedBytes: fc.nat(),
          error,
        },
        { requiredKeys: ['label', 'node', 'status'] },
      ),
      { maxLength: 40 },
    ),
    error,
    storage: text,
    path: text,
    level: text,
    problems: fc.array(text, { maxLength: 30 }),
    findings: fc.array(fc.record({ kind: fc.constant('size'), message: text }), { maxLength: 30 }),
  },
  { requiredKeys: ['event', 'at', 'severity', 'summary'] },
);
const content = event.map(contentOf);

/** Every text in a value, at any depth. */
function textsIn(value: unknown): string[] {
  if (typeof value === 'string') return [value];
  if (typeof value !== 'object' || value === null) return [];
  return Object.values(value).flatMap(textsIn);
}

function holds(law: (content: NotificationContent) => void): void {
  fc.assert(fc.property(content, law), CASES);
}

describe('payloads of notifications, whatever stands in an event', () => {
  it('contents are lines of bounded length without control characters', () => {
    holds((made) => {
      for (const line of textsIn({ ...made, links: [] })) {
        assert.ok(line.length <= 400, line);
        assert.doesNotMatch(line, /[\p{Cc}\u2028\u2029\u202a-\u202e\u2066-\u2069]/u);
        assert.ok(line.isWellFormed());
      }
      assert.ok(JSON.stringify(made).length < 150_000);
    });
  });

  it('Discord: within the limits of an embed, and mentions nobody', () => {
    holds((made) => {
      const { payload } = discordPayload(made, discordOptions.omit({ url: true }).parse(NONE));
      assert.deepEqual(payload.allowed_mentions, { parse: [] });
      const [embed] = payload.embeds;
      assert.ok(embed !== undefined);
      const { title, description, footer, fields = [] } = { fields: [], ...embed };
      assert.ok(title.length > 0 && title.length <= DISCORD_LIMITS.title);
      assert.ok(description.length <= DISCORD_LIMITS.description);
      assert.ok(fields.length <= DISCORD_LIMITS.fields);
      for (const { name, value } of fields as { name: string; value: string }[]) {
        assert.ok(name.length > 0 && name.length <= DISCORD_LIMITS.name, name);
        assert.ok(value.length > 0 && value.length <= DISCORD_LIMITS.value, value);
      }
      const texts = [title, description, footer.text, ...textsIn(fields)];
      assert.ok(texts.join('').length <= DISCORD_LIMITS.total);
      for (const shown of texts) {
        assert.doesNotMatch(shown, /@(everyone|here)/i);
        assert.doesNotMatch(shown, /(?<!\\)(\\\\)*<[@#:a-z!]/i, 'a mention');
        assert.doesNotMatch(shown, /(?<!\\)(\\\\)*\[[^\]]*\]\(/, 'a link with another text');
      }
    });
  });

  it('Slack: within the limits of blocks, and mentions nobody', () => {
    holds((made) => {
      const { payload } = slackPayload(made, NONE);
      assert.ok(payload.blocks.length <= SLACK_LIMITS.blocks);
      assert.equal(payload.link_names, false);
      assert.ok(payload.text.length <= SLACK_LIMITS.fallback);
      for (const block of payload.blocks as {
        type: string;
        text?: { text: string };
        fields?: { text: string }[];
      }[]) {
        const longest = block.type === 'header' ? SLACK_LIMITS.header : SLACK_LIMITS.text;
        if (block.text !== undefined) {
          assert.ok(block.text.text.length > 0 && block.text.text.length <= longest, block.text.text);
        }
        assert.ok((block.fields ?? []).length <= SLACK_LIMITS.fields);
        for (const field of block.fields ?? []) assert.ok(field.text.length <= SLACK_LIMITS.field);
      }
      const marked = payload.blocks.flatMap((block) => (block.type === 'header' ? [] : textsIn(block)));
      for (const shown of [payload.text, ...marked]) {
        // Our own link is the only thing in angle brackets.
        assert.doesNotMatch(shown.replaceAll('<https://backup.example.com/|Dashboard>', ''), /[<>]/);
        assert.doesNotMatch(shown, /&(?!amp;|lt;|gt;)/);
      }
    });
  });

  it('Teams: within its bytes, without links and tags', () => {
    holds((made) => {
      const { payload } = teamsPayload(made, NONE);
      assert.ok(Buffer.byteLength(JSON.stringify(payload)) <= TEAMS_LIMIT);
      const [attachment] = payload.attachments;
      for (const shown of textsIn(attachment?.content.body)) {
        assert.doesNotMatch(shown, /<[a-z/!]/i);
        assert.doesNotMatch(shown, /(?<!\\)(\\\\)*\[[^\]]*(?<!\\)(\\\\)*\]\(/);
        assert.doesNotMatch(shown, /\{\{(DATE|TIME)/);
      }
    });
  });

  it('mail: one subject line, and no tag in HTML that is not ours', () => {
    const options = emailOptions.parse({
      security: 'tls',
      host: 'h',
      from: 'DBackup <backup@example.com>',
      to: ['admin@example.com'],
    });
    const ours =
      /<\/?(!DOCTYPE html|html lang="en"|html|head|meta [^<>]*|title|body|body style="[^<>"]*"|div|div style="[^<>"]*"|h1|h1 style="[^<>"]*"|h2|h2 style="[^<>"]*"|p|p style="[^<>"]*"|table|table style="[^<>"]*"|tr|td|td style="[^<>"]*"|br|i|a|a href="https:\/\/backup\.example\.com\/")>/g;
    holds((made) => {
      const { letter } = composeLetter(made, options);
      assert.doesNotMatch(letter.subject, /[\r\n]/);
      assert.ok(letter.subject.length <= 200);
      assert.doesNotMatch(letter.html.replaceAll(ours, ''), /[<>]/);
      assert.match(letter.messageId, /^<[-0-9a-f]{36}@example\.com>$/);
    });
  });

  it('Telegram: within its characters, and markup that is whole, in both ways', () => {
    holds((made) => {
      const html = telegramPayload(made, { ...NONE, parseMode: 'HTML' }).payload.text;
      assert.ok(html.length <= TELEGRAM_LIMIT);
      assert.equal([...html.matchAll(/<b>/g)].length, [...html.matchAll(/<\/b>/g)].length);
      assert.doesNotMatch(html.replaceAll(/<\/?b>/g, ''), /[<>]/);
      assert.doesNotMatch(html, /&(?!amp;|lt;|gt;|quot;)/);
      const markdown = telegramPayload(made, { ...NONE, parseMode: 'MarkdownV2' }).payload.text;
      assert.ok(markdown.length <= TELEGRAM_LIMIT);
      // What is left without escapes and our bold marks is free of marks.
      const plain = markdown
        .replaceAll(/\\./g, '')
        .split('\n')
        .map((line) => line.replaceAll(/\*([^*]*)\*/g, '$1'));
      assert.doesNotMatch(plain.join('\n'), /[_*[\]()~`>#+\-=|{}.!\\]/);
    });
  });

  it('ntfy and Gotify: within their limits', () => {
    holds((made) => {
      const { payload } = ntfyPayload(made, NONE);
      assert.ok(Buffer.byteLength(payload.message) <= NTFY_LIMITS.message && payload.message !== '');
      assert.ok(Buffer.byteLength(payload.title) <= 500);
      assert.ok(gotifyPayload(made, NONE).payload.message.length <= 20_000);
    });
  });

  it('PagerDuty: a summary and a key of bounded length, or nothing', () => {
    holds((made) => {
      const { payload } = pagerdutyPayload(made, NONE);
      if (payload === undefined) return;
      assert.ok(payload.dedup_key.length <= PAGERDUTY_LIMITS.dedupKey);
      if (payload.event_action === 'resolve') return;
      const { summary, severity, source } = payload.payload;
      assert.ok(summary.length > 0 && summary.length <= PAGERDUTY_LIMITS.summary);
      assert.ok(['critical', 'warning', 'info'].includes(severity));
      assert.notEqual(source, '');
      assert.ok(Buffer.byteLength(JSON.stringify(payload)) < 512 * 1024);
    });
  });

  it('healthchecks.io: an address of the check, whatever the run is called', () => {
    holds((made) => {
      const address = new URL(pingAddress('https://hc-ping.com/abc', made));
      assert.match(address.pathname, /^\/abc(\/(start|fail|log))?$/);
      assert.match(address.search, /^(\?rid=[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12})?$/);
    });
  });

  it('a webhook: JSON also by a template that quotes anything', () => {
    const payload =
      '{"a": "{{ summary }}", "b": "{{ job }}", "c": {{ databases }}, "d": {{ rawBytes | default: 0 }}}';
    const channel = createCustomWebhook(
      customWebhookOptions.parse({ preset: 'custom', url: 'https://example.com/', payload }),
    );
    holds((made) => {
      const prepared = channel.prepare(made);
      assert.ok('attempt' in prepared);
      assert.deepEqual(prepared.notes, [], 'the template makes JSON');
    });
  });

  it('templates show every text as it is, in each markup', () => {
    fc.assert(
      fc.property(text, (nasty) => {
        const made = contentOf({
          event: 'failed',
          at: '2026-11-23T01:31:23.000Z',
          severity: 'error',
          summary: nasty,
        });
        for (const format of [TELEGRAM_HTML, TELEGRAM_MARKDOWN]) {
          const escaped = format.escape(made.summary);
          const back = format === TELEGRAM_HTML ? unescaped(escaped) : escaped.replaceAll(/\\(.)/g, '$1');
          assert.equal(back, made.summary);
        }
      }),
      CASES,
    );
  });
});

function unescaped(html: string): string {
  return html
    .replaceAll('&lt;', '<')
    .replaceAll('&gt;', '>')
    .replaceAll('&quot;', '"')
    .replaceAll('&amp;', '&');
}
