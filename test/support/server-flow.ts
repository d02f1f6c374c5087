import type { FlowEntry } from '../../runner/runtime.ts';
import { TAB } from './flows.ts';

export type ServerKind = 'postgres' | 'mysql';

/** Settings of a server as its fixture has them. */
interface ServerSettings {
  readonly host: string;
  readonly port: number;
  readonly user: string;
  readonly password?: string | undefined;
  readonly toolsFolder: string;
  readonly connectTimeout?: number;
}

/** A config node for that server; its password is a credential, see `serverSecrets`. */
export function serverNode(kind: ServerKind, { password: _, ...settings }: ServerSettings): FlowEntry {
  return { id: 'server', type: `dbackup-${kind}-server`, name: 'The server', ...settings, schemaVersion: 1 };
}

/** What Node-RED keeps apart from the flow. */
export function serverSecrets({ password = '' }: Pick<ServerSettings, 'password'>, ids = ['server']) {
  return { plain: Object.fromEntries(ids.map((id) => [id, { password }])) };
}

/** An inject node, a source of that server and a local destination behind it; a Catch node for errors. */
export function serverFlow(
  kind: ServerKind,
  storageRoot: string,
  { source = {}, more = [], after = ['Result'] }: ServerFlowParts = {},
): FlowEntry[] {
  const at = (id: string, type: string, wires: readonly string[], settings: object): FlowEntry => ({
    id,
    type,
    z: TAB.id,
    x: 100,
    y: 100,
    name: id,
    ...settings,
    wires: [wires],
  });
  const choice = { job: 'shop', server: 'server', databases: ['shop'], exclude: [] };
  return [
    TAB,
    at('go', 'inject', ['source'], { props: [], repeat: '', crontab: '', once: false }),
    at('source', `dbackup-${kind}`, ['zip'], { ...choice, schemaVersion: 1, ...source }),
    at('zip', 'dbackup-compress', ['local'], { algorithm: 'zstd', level: 3, schemaVersion: 1 }),
    at('local', 'dbackup-local', after, { storage: 'disk', folder: '', rate: '', schemaVersion: 1 }),
    at('Result', 'debug', [], {}),
    at('catch', 'catch', ['Errors'], { scope: null, uncaught: false }),
    at('Errors', 'debug', [], {}),
    {
      id: 'disk',
      type: 'dbackup-local-storage',
      name: 'The disk',
      root: storageRoot,
      create: true,
      reserveMiB: 0,
    },
    ...more.map(({ id, type, wires, settings = {} }) => at(id, type, wires, settings)),
  ];
}

export interface ServerFlowParts {
  /** Settings of the source. */
  readonly source?: object;
  /** Ids that the destination is wired to. */
  readonly after?: readonly string[];
  readonly more?: readonly {
    readonly id: string;
    readonly type: string;
    readonly wires: readonly string[];
    readonly settings?: object;
  }[];
}
