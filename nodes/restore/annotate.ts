import { z } from 'zod';
import { type AnnotationWish, checkWish, withWish } from '../../lib/backupset/annotation-changes.ts';
import { updateAnnotations } from '../../lib/backupset/annotations.ts';
import { BackupError } from '../../lib/errors.ts';
import { parseValue } from '../../lib/parse.ts';
import { tag } from '../../lib/plan/run-annotations.ts';
import { type BackupMessage, type Deliver, defineNode, type NodeContext } from '../define-node.ts';
import { nodeName } from '../forms/common-fields.ts';
import { chooseSet, setChoices } from './choose-set.ts';

const first = { name: nodeName };
const tags = z.array(tag).default([]);
const rest = {
  tags: tags.meta({ icon: 'fa-tags', placeholder: 'pre-migration' }),
  removeTags: tags.meta({ icon: 'fa-minus-circle', placeholder: 'pre-migration' }),
  note: z.string().max(1000).default('').meta({ icon: 'fa-sticky-note-o', control: 'lines' }),
  pin: z.enum(['keep', 'pin', 'unpin']).default('keep').meta({ icon: 'fa-thumb-tack' }),
};

const schema = z.discriminatedUnion('from', [
  z.object({ ...first, ...setChoices.message, ...rest }),
  z.object({ ...first, ...setChoices.latest, ...rest }),
  z.object({ ...first, ...setChoices.path, ...rest }),
]);

/** What a message may say beside the settings. */
const wishes = z.object({
  tags: z.array(z.string()).optional(),
  removeTags: z.array(z.string()).optional(),
  note: z.string().optional(),
  pin: z.boolean().optional(),
});

/** Writes tags, a note or a pin beside a backup set. */
export const annotateNode = defineNode({
  type: 'dbackup-annotate',
  set: 'restore',
  role: 'restore',
  icon: 'dbackup-annotate.svg',
  inputs: 1,
  outputs: 1,
  schemaVersion: 1,
  schema,
  setup: (context) => ({ onInput: (message, deliver) => annotate(context, message, deliver) }),
});

async function annotate(
  context: NodeContext<z.output<typeof schema>>,
  message: BackupMessage,
  deliver: Deliver,
): Promise<void> {
  const { settings, runtime } = context;
  const signal = runtime.closing;
  const wish = wishOf(settings, message);
  const { driver, path } = await chooseSet(context, settings, message, signal);
  const change = { signal, clock: runtime.clock };
  const stored = await updateAnnotations(driver, path, (current) => withWish(current, wish), change);
  const { tags: present, note, pinned } = stored;
  context.status({
    fill: 'green',
    shape: 'dot',
    text: `✓ ${present.join(' ')}${pinned ? ' 📌' : ''}`.trim(),
  });
  deliver({
    ...message,
    payload: { set: path, tags: [...present], pinned, ...(note === undefined ? {} : { note }) },
  });
}

/** @throws BackupError `invalid-config` */
function wishOf(settings: z.output<typeof schema>, message: BackupMessage): AnnotationWish {
  const { tags: given, removeTags, note, pin } = message as Readonly<Record<string, unknown>>;
  const parsed = parseValue(wishes, { tags: given, removeTags, note, pin });
  if (!parsed.ok) {
    throw new BackupError(
      'invalid-config',
      `The message asks for wrong annotations: ${parsed.problem}. msg.tags and msg.removeTags are lists of texts, msg.note is a text, msg.pin is true or false`,
    );
  }
  const asked = parsed.value;
  const text = asked.note ?? (settings.note === '' ? undefined : settings.note);
  const pinned = asked.pin ?? (settings.pin === 'keep' ? undefined : settings.pin === 'pin');
  return checkWish({
    addTags: [...settings.tags, ...(asked.tags ?? [])],
    removeTags: [...settings.removeTags, ...(asked.removeTags ?? [])],
    ...(text === undefined ? {} : { note: text }),
    ...(pinned === undefined ? {} : { pinned }),
  });
}
