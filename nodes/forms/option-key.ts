/**
 * Key of the text of an option in the message catalogue. A colon would name another catalogue there, and a dot a
 * group. No imports: browsers load this file.
 * @param field key of the field, `dbackup-s3-storage.encryption`
 */
export function optionKey(field: string, option: string): string {
  return `${field}.options.${option.replaceAll(/[:.]/g, '-')}`;
}
