import { BackupError, throwIfAborted } from '../errors.ts';
import type { DatabaseInfo, SourceDriver } from './driver.ts';
import { selectNames } from './server/selection.ts';

/** What marks databases among the things that a server source dumps. */
const SERVER_DATABASE = /^database:/;
/** Names that an error lists. */
const MAX_LISTED = 20;

/**
 * The same source for one run that needs only some of its databases. What the source itself selects stays the bound:
 * nothing else can be asked for. Roles and users of a server are dumped along.
 * @param wanted names and patterns (`*`, `?`); each must mean one of the databases at least
 */
export function narrowSource(driver: SourceDriver, wanted: readonly string[]): SourceDriver {
  const list = async (signal: AbortSignal) => narrowed(await driver.listDatabases(signal), wanted);
  return {
    kind: driver.kind,
    ...(driver.lane === undefined ? {} : { lane: driver.lane }),
    describe: () => driver.describe(),
    async prepare(signal) {
      await driver.prepare?.(signal);
      try {
        await list(signal);
      } catch (thrown) {
        throwIfAborted(signal);
        // That the server does not answer is for the run to tell, which tries again.
        if (thrown instanceof NotOfSource) throw thrown;
      }
    },
    probe: (signal) => driver.probe(signal),
    listDatabases: list,
    dump: (database, signal) => driver.dump(database, signal),
  };
}

/** A database was asked for that the source does not dump. */
class NotOfSource extends BackupError {
  constructor(wanted: string, names: readonly string[]) {
    const more = names.length > MAX_LISTED ? ', …' : '';
    super(
      'invalid-config',
      `The message asks for ${JSON.stringify(wanted)}, which is none of the databases of this source: ${names.slice(0, MAX_LISTED).join(', ')}${more}`,
    );
  }
}

function narrowed(present: readonly DatabaseInfo[], wanted: readonly string[]): DatabaseInfo[] {
  const ofServer = present.some(({ id }) => SERVER_DATABASE.test(id));
  const isDatabase = ({ id }: DatabaseInfo) => !ofServer || SERVER_DATABASE.test(id);
  const names = present.filter(isDatabase).map(({ name }) => name);
  const meant = new Set<string>();
  for (const pattern of wanted) {
    const found = selectNames(names, { databases: [pattern], exclude: [] }).filter((name) =>
      names.includes(name),
    );
    if (found.length === 0) throw new NotOfSource(pattern, names);
    for (const name of found) meant.add(name);
  }
  return present.filter((database) => !isDatabase(database) || meant.has(database.name));
}
