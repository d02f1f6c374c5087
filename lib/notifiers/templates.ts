import { z } from 'zod';
import type { BackupError } from '../errors.ts';
import { cleanLine } from './clean-text.ts';
import type { NotificationContent } from './content.ts';
import { LONGEST_TEMPLATE, renderTemplate, templateProblem } from './template.ts';
import { PLAIN, type TextFormat } from './text-format.ts';

/** What a person writes in place of the built-in texts; empty for these. */
export const templateOptions = z.object({
  title: z.string().max(LONGEST_TEMPLATE).default('').meta({
    title: 'Title',
    description: 'Template of the title, in Liquid; empty for the built-in one',
  }),
  body: z.string().max(LONGEST_TEMPLATE).default('').meta({
    title: 'Text',
    description: 'Template of the text, in Liquid; empty for the built-in one',
  }),
});

export type TemplateOptions = z.output<typeof templateOptions>;

/** The texts that a channel shows, and what went wrong with the templates for them. */
export interface RenderedTexts {
  /** One line of plain text. */
  readonly title: string;
  /** In the markup of the channel; undefined for the built-in text. */
  readonly body: string | undefined;
  readonly notes: readonly string[];
}

/**
 * Renders the templates of a notifier. One that is wrong, or makes an empty or too long text, is left out, and a note
 * says so: no notification is lost because of it.
 * @param longest of the body, in UTF-16 units
 */
export function renderTexts(
  { title, body }: TemplateOptions,
  content: NotificationContent,
  format: TextFormat,
  longest: number,
): RenderedTexts {
  const notes: string[] = [];
  const rendered = (what: string, template: string, markup: TextFormat): string | undefined => {
    if (template.trim() === '') return undefined;
    try {
      const text = renderTemplate(template, content, markup);
      if (text !== '') return text;
      notes.push(`The built-in text is shown, since the template of the ${what} made an empty one.`);
    } catch (thrown) {
      notes.push(builtInNote(what, (thrown as BackupError).message));
    }
    return undefined;
  };
  const ownTitle = rendered('title', title, PLAIN);
  let ownBody = rendered('text', body, format);
  if (ownBody !== undefined && ownBody.length > longest) {
    notes.push(builtInNote('text', `it made ${ownBody.length} characters, ${longest} can be sent`));
    ownBody = undefined;
  }
  return { title: cleanLine(ownTitle ?? content.title, 200), body: ownBody, notes };
}

/** Tells people why they do not see their own text. */
export function builtInNote(what: string, problem: string): string {
  return `The built-in text is shown in place of the template of the ${what}: ${problem}`;
}

/** What is wrong with the templates of a notifier, by the field that they stand in. */
export function templateProblems(
  templates: TemplateOptions,
  format: TextFormat,
): { readonly field: keyof TemplateOptions; readonly message: string }[] {
  const found = [
    { field: 'title', message: problemOf(templates.title, PLAIN) },
    { field: 'body', message: problemOf(templates.body, format) },
  ] as const;
  return found.flatMap(({ field, message }) => (message === undefined ? [] : [{ field, message }]));
}

function problemOf(template: string, format: TextFormat): string | undefined {
  return template.trim() === '' ? undefined : templateProblem(template, format);
}
