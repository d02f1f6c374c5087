import type { z } from 'zod';
import { BackupError } from '../../lib/errors.ts';
import type { Channel } from '../../lib/notifiers/notifier.ts';
import type { AnyNode, NodeContext } from '../define-node.ts';
import type { SettingsSchema } from '../forms/describe-form.ts';
import type { FieldProblem } from '../forms/settings.ts';
import { NOTIFIER, offer } from '../services.ts';
import { NodeNotifications } from './node-notifications.ts';
import type { CommonSettings } from './notifier-fields.ts';
import { testFromForm } from './send-test.ts';

interface NotifierNode<Schema extends SettingsSchema> {
  /** `discord` of `dbackup-discord`. */
  readonly kind: string;
  readonly schema: Schema;
  readonly labelFrom?: readonly string[];
  channel(settings: z.output<Schema>): Channel;
  /** What is wrong with the templates. */
  faults(settings: z.output<Schema>): readonly FieldProblem[];
}

/** A node that tells people of events through a channel. */
export function notifierNode<Schema extends SettingsSchema>(given: NotifierNode<Schema>): AnyNode {
  const { kind, schema, labelFrom, channel, faults } = given;
  type Settings = z.output<Schema>;
  return {
    type: `dbackup-${kind}`,
    set: 'notifiers',
    role: 'notifier',
    icon: `dbackup-${kind}.svg`,
    ...(labelFrom === undefined ? {} : { labelFrom }),
    inputs: 1,
    outputs: 1,
    schemaVersion: 1,
    schema,
    actions: [
      {
        name: 'test',
        route: 'notifiers/test',
        icon: 'fa-paper-plane',
        run: (settings: Settings, { clock, signal }) => testFromForm(channel(settings), clock, signal),
      },
    ],
    faults: (settings: Settings) => faults(settings),
    setup: (context: NodeContext<Settings & CommonSettings>) => {
      const { settings } = context;
      const made = channel(settings);
      let notifications: NodeNotifications | undefined;
      // A node that is merely asked what it offers has no runtime.
      const running = () => (notifications ??= new NodeNotifications(context, made));
      return {
        offers: [offer(NOTIFIER, { channel: () => made })],
        start: () => {
          running().begin();
          // Until then Node-RED does not know the node, nor the Catch nodes around it.
          context.runtime.deploys.onceStarted(() => reportFaults(context, faults(settings)));
        },
        close: () => notifications?.stop(),
        onInput: (message, deliver) => running().tell(message, deliver),
      };
    },
  };
}

/** Shows what is wrong, and goes on: no notification shall be lost because of its looks. */
function reportFaults(context: NodeContext<unknown>, faults: readonly FieldProblem[]): void {
  if (faults.length === 0) return;
  const list = faults.map(({ field, message }) => `${field}: ${message}`).join('; ');
  const error = new BackupError(
    'invalid-config',
    `${context.label} shows the built-in text until this is mended: ${list}`,
  );
  context.status({ fill: 'yellow', shape: 'ring', text: list.slice(0, 60) });
  context.report(error);
}
