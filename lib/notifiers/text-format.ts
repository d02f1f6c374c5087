/** How a channel marks up texts. */
export interface TextFormat {
  /** Names it, for the engine of templates. */
  readonly name: string;
  /** A text that is shown as it is, whatever stands in it. */
  escape(text: string): string;
  /** @param escaped a text that is escaped already */
  bold(escaped: string): string;
}

/** No markup at all. */
export const PLAIN: TextFormat = { name: 'plain', escape: (text) => text, bold: (text) => text };

export const HTML: TextFormat = {
  name: 'html',
  escape: (text) => text.replaceAll(/[&<>"']/g, (character) => `&#${character.codePointAt(0)};`),
  bold: (text) => `<b>${text}</b>`,
};

/**
 * Discord's Markdown. A backslash makes a mark plain, `<@…>` included; `@everyone` and `@here` have no such form, so
 * that an invisible space keeps them apart. (https://discord.com/developers/docs/reference#message-formatting)
 */
export const DISCORD: TextFormat = {
  name: 'discord',
  escape: (text) =>
    text
      .replaceAll(/[\\*_~`|<>[\]()#]/g, (mark) => `\\${mark}`)
      .replaceAll(/@(?=everyone|here)/gi, '@\u200b')
      .replaceAll(/^(\s*)([-+]|\d+\.)(?=\s)/gm, '$1\u200b$2'),
  bold: (text) => `**${text}**`,
};

/**
 * Slack's mrkdwn: three characters are written as entities, which also disarms `<!channel>` and `<@…>`.
 * (https://docs.slack.dev/messaging/formatting-message-text#escaping)
 */
export const SLACK: TextFormat = {
  name: 'slack',
  escape: (text) => text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;'),
  bold: (text) => `*${text.replaceAll('*', '∗')}*`,
};

/**
 * The Markdown of adaptive cards. (https://learn.microsoft.com/adaptive-cards/authoring-cards/text-features)
 */
export const TEAMS: TextFormat = {
  name: 'teams',
  escape: (text) =>
    text
      .replaceAll(/[\\*_[\]`~]/g, (mark) => `\\${mark}`)
      .replaceAll('<', '&lt;')
      .replaceAll(/\{\{(DATE|TIME)/g, '{\u200b{$1')
      .replaceAll(/^(\s*)([-+#]|\d+\.)(?=\s)/gm, '$1\u200b$2'),
  bold: (text) => `**${text}**`,
};

/** Telegram's HTML. (https://core.telegram.org/bots/api#html-style) */
export const TELEGRAM_HTML: TextFormat = {
  name: 'telegram-html',
  escape: (text) =>
    text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;').replaceAll('"', '&quot;'),
  bold: (text) => `<b>${text}</b>`,
};

/** Telegram's MarkdownV2. (https://core.telegram.org/bots/api#markdownv2-style) */
export const TELEGRAM_MARKDOWN: TextFormat = {
  name: 'telegram-markdown',
  escape: (text) => text.replaceAll(/[_*[\]()~`>#+\-=|{}.!\\]/g, (mark) => `\\${mark}`),
  bold: (text) => `*${text}*`,
};

/** What stands between the quotes of a JSON string. */
export const JSON_TEXT: TextFormat = {
  name: 'json',
  escape: (text) => JSON.stringify(text).slice(1, -1),
  bold: (text) => text,
};
