import { BackupError } from '../../lib/errors.ts';
import type { BackupMessage } from '../define-node.ts';

const COMMANDS = ['pause', 'resume', 'fire'] as const;

export type ScheduleCommand = (typeof COMMANDS)[number];

/**
 * What a message tells a schedule to do: its `command`, else its payload.
 * @throws BackupError `invalid-config` when it is nothing that a schedule does
 */
export function commandOf(message: BackupMessage): ScheduleCommand {
  const said = message.command ?? message.payload;
  const command = COMMANDS.find((known) => known === said);
  if (command !== undefined) return command;
  const shown = typeof said === 'string' ? `"${said.slice(0, 50)}"` : `a ${typeof said}`;
  throw new BackupError(
    'invalid-config',
    `A schedule takes no message with ${shown} as its payload: send pause, resume or fire, in msg.payload or msg.command`,
  );
}
