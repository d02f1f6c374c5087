import { z } from 'zod';
import { defineNode } from '../define-node.ts';
import { configNode, nodeName, storageFolder } from '../forms/common-fields.ts';
import { offer, PLACE, STORAGE } from '../services.ts';
import { passDestination } from './pass-destination.ts';

const BYTES_PER_MB = 1_000_000;

/** Stores backup sets in a folder of a disk. */
export const localNode = defineNode({
  type: 'dbackup-local',
  set: 'destinations',
  role: 'destination',
  icon: 'dbackup-local.svg',
  labelFrom: ['storage'],
  inputs: 1,
  outputs: 1,
  schemaVersion: 1,
  schema: z.object({
    name: nodeName,
    storage: configNode(['dbackup-local-storage'], 'fa-hdd-o'),
    folder: storageFolder,
    rate: z.number().positive().optional().meta({ icon: 'fa-tachometer', unit: 'MB/s', section: 'advanced' }),
  }),
  setup(context) {
    const { storage, folder, rate } = context.settings;
    const binding = () => ({
      node: context.id,
      label: context.label,
      driver: context.use(STORAGE, storage).driver(),
      prefix: folder,
      ...(rate === undefined ? {} : { bytesPerSecond: rate * BYTES_PER_MB }),
    });
    return {
      offers: [offer(PLACE, { binding })],
      onInput: (message, deliver) => passDestination(context, binding(), message, deliver),
    };
  },
});
