import { defineNode } from '../define-node.ts';
import { guardSettings } from './guard-settings.ts';
import { runGuard } from './run-guard.ts';

/** Tells backups that are not as those before them from the others. */
export const guardNode = defineNode({
  type: 'dbackup-guard',
  set: 'retention',
  // It works on stored sets, and has no policy that `dbackup prune` could take.
  role: 'restore',
  icon: 'dbackup-guard.svg',
  inputs: 1,
  outputs: 2,
  schemaVersion: 1,
  schema: guardSettings,
  setup: (context) => ({ onInput: (message, deliver) => runGuard(context, message, deliver) }),
});
