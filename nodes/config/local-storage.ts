import { z } from 'zod';
import { createLocalDestination } from '../../lib/destinations/local/local.ts';
import { localOptions } from '../../lib/destinations/local/options.ts';
import { nodeName } from '../forms/common-fields.ts';
import { storageNode } from './storage-node.ts';

const { root, create, mountPoint, reserveMiB } = localOptions.shape;

/** A folder on a disk of this host that holds backups. */
export const localStorageNode = storageNode({
  kind: 'local',
  labelFrom: ['root'],
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
  open: (settings) => createLocalDestination(settings),
});
