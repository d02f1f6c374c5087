/**
 * The environment of a tool: ours without the product's secrets, with messages in English, so that
 * they can be recognized, and with what the tool needs to know.
 */
export function toolEnvironment(extra: Readonly<Record<string, string>>): NodeJS.ProcessEnv {
  const kept = Object.entries(process.env).filter(([name]) => !isOurs(name));
  return { ...Object.fromEntries(kept), LC_ALL: 'C', ...extra };
}

/** A variable that another program may set for its own tools must not reach ours: it would redirect them. */
function isOurs(name: string): boolean {
  return /^(DBACKUP_|PG|MYSQL_|MARIADB_|PASSWD|RSYNC_|LIBSMB_|CLI_FORCE_INTERACTIVE$|NODE_OPTIONS$|LC_|LANGUAGE$)/.test(
    name,
  );
}
