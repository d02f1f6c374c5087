import type { z } from 'zod';
import type { DestinationDriver } from '../../lib/destinations/driver.ts';
import { defineNode, type NodeDefinition } from '../define-node.ts';
import type { FormAction } from '../form-actions.ts';
import type { SettingsSchema } from '../forms/describe-form.ts';
import { offer, STORAGE } from '../services.ts';
import { testStorage } from './test-storage.ts';

/** What one kind of storage is, apart from what all of them have. */
export interface StorageKind<Schema extends SettingsSchema> {
  /**
   * Both node types are called after it, forever: the storage `dbackup-s3-storage`, and the destination
   * `dbackup-s3`.
   */
  readonly kind: string;
  readonly labelFrom: readonly string[];
  readonly schema: Schema;
  /**
   * Makes the driver, without connecting.
   * @param dataDir folder of the history and the key vault
   * @throws BackupError `invalid-config`
   */
  open(settings: z.output<Schema>, dataDir: string): DestinationDriver;
  /** Where testing a connection is more than asking the driver. */
  readonly test?: Partial<FormAction>;
}

export interface StorageNode<Schema extends SettingsSchema = SettingsSchema> extends NodeDefinition<Schema> {
  readonly kind: string;
}

/** The config node of a kind of storage. The list of all of them is in storages.ts. */
export function storageNode<Schema extends SettingsSchema>({
  kind,
  labelFrom,
  schema,
  open,
  test,
}: StorageKind<Schema>): StorageNode<Schema> {
  const definition = defineNode({
    type: `dbackup-${kind}-storage`,
    set: 'config',
    role: 'config',
    icon: `dbackup-${kind}.svg`,
    labelFrom,
    inputs: 0,
    outputs: 0,
    schemaVersion: 1,
    actions: [
      {
        name: 'test',
        route: 'storages/test',
        icon: 'fa-plug',
        run: (settings: z.output<Schema>, { signal, dataDir }) =>
          testStorage(open(settings, dataDir), signal),
        ...test,
      },
    ],
    schema,
    setup({ settings, runtime }) {
      const driver = open(settings, runtime.dataDir);
      return { offers: [offer(STORAGE, { driver: () => driver })] };
    },
  });
  return { ...definition, kind };
}
