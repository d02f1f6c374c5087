import { formValues } from './form-values.ts';
import type { EditorNodeDescription } from './node-description.ts';
import { type EditorNode, jQuery } from './red.ts';
import type { Translate } from './validators.ts';

/** What the server says; see `ActionAnswer` there. */
interface Answer {
  readonly level: 'ok' | 'warning' | 'error';
  readonly text?: string;
  readonly message?: string;
  readonly values?: Readonly<Record<string, string | number>>;
  readonly rows?: readonly { readonly name: string; readonly detail: string }[];
  readonly notes?: readonly string[];
}

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
  button.addEventListener('click', async () => {
    button.disabled = true;
    result.replaceChildren(line('dbackup-result-busy', text('form.asking')));
    const answer = await ask(action.route, {
      type: description.type,
      id: node.id,
      settings: formValues(description, node),
    });
    button.disabled = false;
    result.replaceChildren(...render(description, answer, text));
  });
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
function render(description: EditorNodeDescription, answer: Answer, text: Translate): Node[] {
  const { level, message, rows = [], notes = [] } = answer;
  const key = answer.text ?? '';
  const said =
    message ?? text(key.startsWith('form.') ? key : `${description.type}.actions.${key}`, answer.values);
  const parts: Node[] = [line(`dbackup-result-${level}`, said)];
  if (rows.length > 0) parts.push(table(rows));
  return [...parts, ...notes.map((note) => line('dbackup-result-warning', note))];
}

function line(className: string, content: string): HTMLElement {
  const element = document.createElement('div');
  element.className = className;
  element.textContent = content;
  return element;
}

function table(rows: readonly { readonly name: string; readonly detail: string }[]): HTMLElement {
  const element = document.createElement('table');
  element.className = 'dbackup-result-rows';
  for (const { name, detail } of rows) {
    const row = element.insertRow();
    row.insertCell().textContent = name;
    row.insertCell().textContent = detail;
  }
  return element;
}
