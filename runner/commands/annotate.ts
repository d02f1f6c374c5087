import { type AnnotationWish, checkWish, withWish } from '../../lib/backupset/annotation-changes.ts';
import { updateAnnotations } from '../../lib/backupset/annotations.ts';
import type { CommandBody, CommandContext } from '../command.ts';
import { EXIT, type ExitCode } from '../exit-codes.ts';
import { printable } from '../format.ts';
import { annotationFields } from '../set-annotations.ts';
import { openPlace, type StorageOptions } from '../storage-options.ts';
import { findSet, pathBelow } from '../stored-sets.ts';

interface AnnotateInput extends StorageOptions {
  readonly set: string;
  readonly job?: string;
  readonly replaceDamaged?: boolean;
  readonly json?: boolean;
}

export interface TagInput extends AnnotateInput {
  readonly tags: readonly string[];
  readonly remove?: boolean;
}

export interface NoteInput extends AnnotateInput {
  /** Empty: none any more. */
  readonly text: string;
}

/** Adds tags to a set, or takes them away. */
export const tag: CommandBody<TagInput> = ({ tags, remove, ...input }, context) =>
  annotate(input, remove ? { removeTags: tags } : { addTags: tags }, context);

/** Writes a note about a set. */
export const note: CommandBody<NoteInput> = ({ text, ...input }, context) =>
  annotate(input, { note: text }, context);

/** Keeps retention from removing a set. */
export const pin: CommandBody<AnnotateInput> = (input, context) => annotate(input, { pinned: true }, context);

/** Takes that back. */
export const unpin: CommandBody<AnnotateInput> = (input, context) =>
  annotate(input, { pinned: false }, context);

async function annotate(
  input: AnnotateInput,
  wish: AnnotationWish,
  { output, signal, env }: CommandContext,
): Promise<ExitCode> {
  checkWish(wish);
  const place = await openPlace(input, env);
  const { driver, path } = await findSet(place, { set: input.set, job: input.job, signal });
  const { replaceDamaged = false } = input;
  const value = await updateAnnotations(driver, path, (current) => withWish(current, wish), {
    signal,
    replaceDamaged,
  });
  const set = pathBelow(place, path);
  if (input.json) {
    output.json({ set, ...annotationFields({ value }) });
    return EXIT.ok;
  }
  const tags = value.tags.length === 0 ? 'no tags' : `tags ${value.tags.join(', ')}`;
  const noted = value.note === undefined ? '' : `, note: ${value.note}`;
  output.print(printable(`${set}: ${value.pinned ? 'pinned' : 'not pinned'}, ${tags}${noted}`));
  return EXIT.ok;
}
