import { z } from 'zod';
import { defineNode } from '../define-node.ts';
import { configNode, nodeName, storageFolder } from '../forms/common-fields.ts';
import { offer, PLACE, STORAGE } from '../services.ts';
import { passDestination } from './pass-destination.ts';

const BYTES_PER_MB = 1_000_000;

/** The node that stores backup sets in a storage of this kind. */
export function destinationNode(kind: string) {
  return defineNode({
    type: `dbackup-${kind}`,
    set: 'destinations',
    role: 'destination',
    icon: `dbackup-${kind}.svg`,
    labelFrom: ['storage'],
    inputs: 1,
    outputs: 1,
    schemaVersion: 1,
    schema: z.object({
      name: nodeName,
      storage: configNode([`dbackup-${kind}-storage`], 'fa-hdd-o'),
      folder: storageFolder,
      rate: z
        .number()
        .positive()
        .optional()
        .meta({ icon: 'fa-tachometer', unit: 'MB/s', section: 'advanced' }),
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
}
