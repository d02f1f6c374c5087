import { z } from 'zod';

/** Letters and digits of any language, with signs between them: what can be typed in a shell without quotes. */
const TAG = /^[\p{L}\p{N}](?:[\p{L}\p{M}\p{N}._:@/+-]*[\p{L}\p{M}\p{N}])?$/u;

/** A word by which sets are found again: `pre-migration`. */
export const tag = z
  .string()
  .max(64)
  .regex(TAG, 'must be letters and digits, with . _ : @ / + - between them, without blanks');

/** A sentence for people about one set. */
export const note = z
  .string()
  .min(1)
  .max(1000)
  // biome-ignore lint/suspicious/noControlCharactersInRegex: refusing exactly these
  .refine((text) => !/[\u0000-\u0009\u000b-\u001f\u007f]/.test(text), 'must not have control characters');

/** What whoever starts a run says about the sets that come of it. They can be changed later, beside the set. */
export const runAnnotations = z.object({
  tags: z.array(tag).max(20).optional(),
  note: note.optional(),
  /** A pinned set is never removed. */
  pinned: z.boolean().optional(),
});

export type RunAnnotations = z.infer<typeof runAnnotations>;

/** As a recipe has it, which says nothing of what goes without saying. */
export function annotationsField(annotations: RunAnnotations | undefined): { annotations?: RunAnnotations } {
  return annotations === undefined || Object.keys(annotations).length === 0 ? {} : { annotations };
}
