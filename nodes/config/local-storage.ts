import { z } from 'zod';
import { createLocalDestination } from '../../lib/destinations/local/local.ts';
import { type LocalOptions, localOptions } from '../../lib/destinations/local/options.ts';
import { defineNode } from '../define-node.ts';
import { nodeName } from '../forms/common-fields.ts';
import { offer, STORAGE } from '../services.ts';
import { testStorage } from './test-storage.ts';

const { root, create, mountPoint, reserveMiB } = localOptions.shape;

/** A folder on a disk of this host that holds backups. */
export const localStorageNode = defineNode({
  type: 'dbackup-local-storage',
  set: 'config',
  role: 'config',
  icon: 'dbackup-local.svg',
  labelFrom: ['root'],
  inputs: 0,
  outputs: 0,
  schemaVersion: 1,
  actions: [
    {
      name: 'test',
      route: 'storages/test',
      icon: 'fa-plug',
      run: (settings: LocalOptions, { signal }) => testStorage(createLocalDestination(settings), signal),
    },
  ],
  schema: z.object({
    name: nodeName,
    root: root.meta({
      icon: 'fa-folder-open-o',
      placeholder: '/var/backups/dbackup',
      pattern: String.raw`^(/|[A-Za-z]:[/\\]|\\\\).*[^/\\]`,
    }),
    create: create.meta({ icon: 'fa-magic' }),
    mountPoint: mountPoint.meta({ icon: 'fa-usb', section: 'advanced' }),
    reserveMiB: reserveMiB.meta({ icon: 'fa-pie-chart', section: 'advanced' }),
  }),
  setup(context) {
    const driver = createLocalDestination(context.settings);
    return { offers: [offer(STORAGE, { driver: () => driver })] };
  },
});
