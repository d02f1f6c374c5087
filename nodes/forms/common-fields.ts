import { z } from 'zod';

/** The name that a person gives a node; empty for its default label. */
export const nodeName = z.string().max(200).default('').meta({ icon: 'fa-tag' });

/** Name of a backup job: its sets lie in a folder of that name. */
export const jobName = z
  .string()
  .min(1)
  .max(100)
  .meta({ icon: 'fa-archive', placeholder: 'shop', pattern: String.raw`^[^/\\]+$` });

/** A folder below a storage's own: relative, with `/`, without `..`. */
export const storageFolder = z.string().max(500).default('').meta({
  icon: 'fa-folder-o',
  placeholder: 'databases/production',
  pattern: String.raw`^(?!/)(?!.*//)(?!.*(^|/)\.)[^\\]*[^/\\]$`,
});

/** The id of a config node of one of these types. */
export function configNode(types: readonly [string, ...string[]], icon: string) {
  return z.string().min(1).meta({ configTypes: types, icon });
}
