import type { BackupNodeType, NodeSettings } from '../lib/plan/flow-problem.ts';
import { keyNode } from './config/key.ts';
import { mysqlServerNode } from './config/mysql-server.ts';
import { postgresServerNode } from './config/postgres-server.ts';
import { sshNode } from './config/ssh.ts';
import type { AnyNode } from './define-node.ts';
import { activeCase, formOf, readSettings } from './forms/settings.ts';
import { guardNode } from './guard/guard.ts';
import { jobsNode } from './jobs/jobs.ts';
import type { NodeRole } from './node-role.ts';
import { notifierNodes } from './notifiers/notifier-nodes.ts';
import { annotateNode } from './restore/annotate.ts';
import { restoreNode } from './restore/restore.ts';
import { verifyNode } from './restore/verify.ts';
import { retentionNode } from './retention/retention.ts';
import { mysqlNode } from './sources/mysql.ts';
import type { NeedsSettings } from './sources/needs-fields.ts';
import { postgresNode } from './sources/postgres.ts';
import { sqliteNode } from './sources/sqlite.ts';
import { destinationNodes, storageNodes } from './storages.ts';
import { checksumNode } from './transforms/checksum.ts';
import { compressNode } from './transforms/compress.ts';
import { encryptNode } from './transforms/encrypt.ts';
import { runEventsNode } from './triggers/run-events.ts';
import { scheduleNode } from './triggers/schedule.ts';
import { webhookNode } from './triggers/webhook.ts';

/** Every node type of the package. Nothing here needs a running Node-RED. */
export const allNodes: readonly AnyNode[] = [
  keyNode,
  ...storageNodes,
  postgresServerNode,
  mysqlServerNode,
  sshNode,
  scheduleNode,
  webhookNode,
  runEventsNode,
  postgresNode,
  mysqlNode,
  sqliteNode,
  compressNode,
  encryptNode,
  checksumNode,
  ...destinationNodes,
  restoreNode,
  verifyNode,
  annotateNode,
  retentionNode,
  guardNode,
  ...notifierNodes,
  jobsNode,
];

/** The same by type. */
export const nodeSchemas: Readonly<Record<string, AnyNode>> = Object.fromEntries(
  allNodes.map((node) => [node.type, node]),
);

/** What the check of a whole flow must know of the package's node types. */
export const backupNodeTypes: ReadonlyMap<string, BackupNodeType> = new Map(
  allNodes.map((node) => [node.type, toBackupNodeType(node)]),
);

function toBackupNodeType(node: AnyNode): BackupNodeType {
  const { type, role, step } = node;
  return {
    type,
    role: isApart(role) ? 'other' : role,
    ...(step === undefined ? {} : { step }),
    ...(role === 'source' ? { copiesNeeded: (settings) => copiesNeeded(node, settings) } : {}),
    references: (settings) => referencesOf(node, settings),
    check({ values, credentials }) {
      const result = readSettings(node, { ...values, ...credentials });
      if ('problems' in result) return result.problems;
      // The settings were just read with the schema of this very node.
      return node.faults?.(result.settings as never) ?? [];
    },
  };
}

/** Whether nodes of that role take part in no plan. */
function isApart(role: NodeRole): role is Exclude<NodeRole, BackupNodeType['role']> {
  return (
    role === 'config' ||
    role === 'restore' ||
    role === 'retention' ||
    role === 'listener' ||
    role === 'notifier'
  );
}

function copiesNeeded(node: AnyNode, { values, credentials }: NodeSettings): number | undefined {
  const result = readSettings(node, { ...values, ...credentials });
  if ('problems' in result) return undefined;
  const { needs, copies } = result.settings as Partial<NeedsSettings>;
  return needs === 'copies' ? copies : undefined;
}

function referencesOf(node: AnyNode, { values }: NodeSettings) {
  const form = formOf(node.schema);
  return form.fields.flatMap((field) => {
    const { name, configTypes } = field;
    const active = activeCase(form, field, values);
    if (configTypes === undefined || active === undefined) return [];
    return [{ field: name, types: configTypes, required: active.rule.required }];
  });
}
