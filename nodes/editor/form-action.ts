import { formValues, inputOf, isOpen, storedValues } from './form-values.ts';
import { readList, toggleEntry } from './list-field.ts';
import type { ActionDescription, EditorNodeDescription } from './node-description.ts';
import { type EditorNode, jQuery, red } from './red.ts';
import { descriptionOf } from './registry.ts';
import { type RetentionCalendar, retentionCalendar } from './retention-calendar.ts';
import type { Translate } from './validators.ts';

/** What the server says; see `ActionAnswer` there. */
interface Answer {
  readonly level: 'ok' | 'warning' | 'error';
  readonly text?: string;
  readonly message?: string;
  readonly values?: Readonly<Record<string, string | number>>;
  readonly rows?: readonly AnswerRow[];
  readonly notes?: readonly string[];
  readonly placeholders?: Readonly<Record<string, string>>;
  readonly calendar?: RetentionCalendar;
}

interface AnswerRow {
  readonly name: string;
  readonly detail: string;
  readonly texts?: readonly AnswerText[];
  readonly entry?: string;
  readonly tone?: 'heading' | 'removed';
}

interface AnswerText {
  readonly text: string;
  readonly values?: Readonly<Record<string, string | number>>;
}

/** A config node as it stands in the editor. */
interface Reference {
  readonly id: string;
  readonly type: string;
  readonly settings: Readonly<Record<string, unknown>>;
}

/** A button of the form, and where its answer is shown. */
interface Asking {
  readonly description: EditorNodeDescription;
  readonly action: ActionDescription;
  readonly text: Translate;
}

/** How long a value has to stay as it is before it is asked about, in ms. */
const MOMENT_MS = 300;

/** Makes a button of the form ask the server about the values in the form, and show what it says. */
export function wireAction(
  description: EditorNodeDescription,
  node: EditorNode,
  row: HTMLElement,
  text: Translate,
): void {
  const button = row.querySelector('button');
  const result = row.querySelector<HTMLElement>('.dbackup-result');
  const action = description.actions.find(({ name }) => name === row.dataset.action);
  if (button === null || result === null || action === undefined) return;
  let asked = 0;
  const askNow = async () => {
    asked += 1;
    const question = asked;
    const settings = formValues(description, node);
    const answer = await ask(action.route, {
      type: description.type,
      id: node.id,
      settings,
      references: referencesOf(description, settings),
      option: row.querySelector<HTMLSelectElement>('select[data-option]')?.value,
    });
    // Values have changed meanwhile, and what they come to was asked for.
    if (question !== asked || !isOpen(description, node)) return;
    result.replaceChildren(...render({ description, action, text }, answer));
    showPlaceholders(description, answer);
    markChosenRows(description, result);
  };
  button.addEventListener('click', async () => {
    button.disabled = true;
    result.replaceChildren(line('dbackup-result-busy', text('form.asking')));
    await askNow();
    button.disabled = false;
    // Below a long form it would be out of sight.
    result.scrollIntoView({ block: 'nearest' });
  });
  if (action.live === true) askAlways(description, node, row, askNow);
}

/** Asks now, and whenever a value has changed and stayed so for a moment. */
function askAlways(
  description: EditorNodeDescription,
  node: EditorNode,
  row: HTMLElement,
  askNow: () => Promise<void>,
): void {
  let timer: ReturnType<typeof setTimeout> | undefined;
  const soon = () => {
    clearTimeout(timer);
    timer = setTimeout(() => {
      if (isOpen(description, node)) askNow();
    }, MOMENT_MS);
  };
  const form = row.closest('.dbackup-form');
  for (const event of ['input', 'change']) form?.addEventListener(event, soon);
  soon();
}

/** Until the next time that the form shows another variant. */
function showPlaceholders(description: EditorNodeDescription, { placeholders = {} }: Answer): void {
  for (const [field, placeholder] of Object.entries(placeholders)) {
    const input = inputOf(description, field);
    if (input instanceof HTMLInputElement) input.placeholder = placeholder;
  }
}

/** Does what the button of a node on the canvas is for, and says what came of it. */
export async function pressButton(
  description: EditorNodeDescription,
  action: ActionDescription,
  node: EditorNode,
  text: Translate,
): Promise<void> {
  const settings = storedValues(description, node);
  const { type } = description;
  const answer = await ask(action.route, { type, id: node.id, settings, references: [] });
  const level = answer.level === 'ok' ? 'success' : answer.level;
  red.notify(escaped(said({ description, action, text }, answer)), level);
}

/** Notifications are HTML. */
function escaped(content: string): string {
  return content.replaceAll('&', '&amp;').replaceAll('<', '&lt;');
}

/** Shows which rows of answers stand in the list that a click on them changes. */
export function markChosenRows(description: EditorNodeDescription, form: HTMLElement): void {
  for (const { adds } of description.actions) {
    if (adds === undefined) continue;
    const chosen = new Set(readList(description, adds));
    for (const choice of form.querySelectorAll<HTMLElement>(`[data-adds="${adds}"]`)) {
      const isChosen = chosen.has(choice.dataset.entry ?? '');
      choice.setAttribute('aria-pressed', String(isChosen));
      choice
        .querySelector('i')
        ?.setAttribute('class', `fa ${isChosen ? 'fa-check-square-o' : 'fa-square-o'}`);
    }
  }
}

/** The config nodes that these settings refer to, and those that they refer to. */
function referencesOf(
  { form }: EditorNodeDescription,
  settings: Readonly<Record<string, unknown>>,
  found: Reference[] = [],
): Reference[] {
  for (const { name, configTypes } of form.fields) {
    const id = settings[name];
    const node = configTypes === undefined || typeof id !== 'string' ? undefined : red.nodes.node(id);
    const description = node ? descriptionOf(node.type) : undefined;
    if (!node || description === undefined || found.some((known) => known.id === node.id)) continue;
    const stored = storedValues(description, node);
    found.push({ id: node.id, type: node.type, settings: stored });
    referencesOf(description, stored, found);
  }
  return found;
}

async function ask(route: string, question: unknown): Promise<Answer> {
  try {
    const given = await jQuery.ajax({
      url: `dbackup/api/${route}`,
      type: 'POST',
      contentType: 'application/json',
      data: JSON.stringify(question),
    });
    return given as Answer;
  } catch (failed) {
    const status = (failed as { readonly status?: number }).status ?? 0;
    return { level: 'error', text: status === 401 || status === 403 ? 'form.forbidden' : 'form.noAnswer' };
  }
}

/** All texts from the server are set as text, never as HTML: they may hold names of files. */
function render(asking: Asking, answer: Answer): Node[] {
  const { level, rows = [], notes = [] } = answer;
  const parts: Node[] = [line(`dbackup-result-${level}`, said(asking, answer))];
  if (rows.length > 0) parts.push(table(asking, rows));
  if (answer.calendar !== undefined) parts.push(retentionCalendar(answer.calendar, textsOf(asking)));
  return [...parts, ...notes.map((note) => line('dbackup-result-warning', note))];
}

function said(asking: Asking, { message, text: key = '', values }: Answer): string {
  return message ?? (key.startsWith('form.') ? asking.text(key, values) : textsOf(asking)(key, values));
}

/** The texts of a node's actions. */
function textsOf({ description, text }: Asking): Translate {
  return (key, values) => text(`${description.type}.actions.${key}`, values);
}

function line(className: string, content: string): HTMLElement {
  const element = document.createElement('div');
  element.className = className;
  element.textContent = content;
  return element;
}

function table(asking: Asking, rows: readonly AnswerRow[]): HTMLElement {
  const element = document.createElement('table');
  element.className = 'dbackup-result-rows';
  for (const row of rows) {
    const shown = element.insertRow();
    if (row.tone !== undefined) shown.className = `dbackup-row-${row.tone}`;
    shown.insertCell().append(nameOf(asking, row));
    shown.insertCell().textContent = detailOf(asking, row);
  }
  if (rows.every(({ texts }) => texts === undefined)) return element;
  // Sentences, as many as there are sets.
  element.classList.add('dbackup-result-sentences');
  const scroll = document.createElement('div');
  scroll.className = 'dbackup-result-scroll';
  scroll.tabIndex = 0;
  scroll.append(element);
  return scroll;
}

function detailOf(asking: Asking, { detail, texts }: AnswerRow): string {
  return texts?.map(({ text, values }) => textsOf(asking)(text, values)).join(', ') ?? detail;
}

/** The name, as a button where it can be chosen. */
function nameOf({ description, action: { adds } }: Asking, { name, entry }: AnswerRow): Node {
  if (adds === undefined || entry === undefined) return document.createTextNode(name);
  const choice = document.createElement('button');
  choice.type = 'button';
  choice.className = 'dbackup-choice';
  choice.dataset.adds = adds;
  choice.dataset.entry = entry;
  choice.append(document.createElement('i'), document.createTextNode(name));
  choice.addEventListener('click', () => toggleEntry(description, adds, entry));
  return choice;
}
