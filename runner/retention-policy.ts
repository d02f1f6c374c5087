import { BackupError } from '../lib/errors.ts';
import { enabledNodes, type FlowNode, nameOf, nodeLabel } from '../lib/plan/flow-file.ts';
import { Buckets } from '../lib/retention/buckets.ts';
import { policyOf } from '../lib/retention/options.ts';
import type { RetentionPolicy } from '../lib/retention/policy.ts';
import { TimeZone } from '../lib/schedule/time-zone.ts';
import { dataDirectory, type FlowInput, type FlowOptions, readFlow } from './flow-input.ts';

type Environment = Readonly<Record<string, string | undefined>>;

/** Which sets are kept: by options, or by a retention node of a flow. */
export interface PolicyInput extends FlowOptions {
  readonly flow?: string;
  /** Name or id of the flow's retention node. */
  readonly policy?: string;
  readonly keepLast?: number;
  readonly keepWithin?: string;
  readonly keepHourly?: number;
  readonly keepDaily?: number;
  readonly keepWeekly?: number;
  readonly keepMonthly?: number;
  readonly keepYearly?: number;
  readonly keepTag?: readonly string[];
  readonly zone?: string;
}

const COUNTS = ['keepLast', 'keepHourly', 'keepDaily', 'keepWeekly', 'keepMonthly', 'keepYearly'] as const;

/**
 * The policy that a person means. Rules among the options are all there are; without any, those of the flow's node hold,
 * with the tags and the time zone of the options.
 * @throws BackupError `invalid-config`
 */
export async function choosePolicy(input: PolicyInput, env: Environment): Promise<RetentionPolicy> {
  const { keepTag = [], keepWithin, zone } = input;
  const hasRules = keepWithin !== undefined || COUNTS.some((name) => input[name] !== undefined);
  if (hasRules && input.policy !== undefined) {
    throw new BackupError('invalid-config', 'Give either rules (--keep-…) or a retention node (--policy)');
  }
  if (hasRules || input.flow === undefined) {
    const counts = Object.fromEntries(COUNTS.map((name) => [name, input[name] ?? 0]));
    const within = keepWithin === undefined ? {} : { keepWithin };
    return policyOf({
      ...counts,
      ...within,
      keepTags: [...keepTag],
      ...(zone === undefined ? {} : { zone }),
    });
  }
  const policy = await policyOfFlow(await readFlow(input.flow, input, env), input, env);
  const buckets = zone === undefined ? policy.buckets : new Buckets(new TimeZone(zone));
  return { ...policy, tags: [...new Set([...policy.tags, ...keepTag])], buckets };
}

/** Our nodes are loaded only when a flow is given. */
async function policyOfFlow(flow: FlowInput, input: PolicyInput, env: Environment): Promise<RetentionPolicy> {
  const [{ FlowServices }, { RETENTION }, { nodeSchemas }] = await Promise.all([
    import('./flow-services.ts'),
    import('../nodes/services.ts'),
    import('../nodes/schemas.ts'),
  ]);
  const nodes = enabledNodes(flow.nodes).filter(({ type }) => nodeSchemas[type]?.role === 'retention');
  const node = chooseNode(flow, nodes, input.policy);
  const service = new FlowServices(flow, dataDirectory(input, env), env).find(RETENTION, node);
  if (service === undefined) throw new BackupError('invalid-config', `${nodeLabel(node)} has no policy`);
  return service.policy();
}

function chooseNode(flow: FlowInput, nodes: readonly FlowNode[], wanted: string | undefined): FlowNode {
  const found =
    wanted === undefined ? nodes : nodes.filter((node) => node.id === wanted || nameOf(node) === wanted);
  const [only, ...others] = found;
  if (only !== undefined && others.length === 0) return only;
  if (nodes.length === 0) {
    throw new BackupError(
      'invalid-config',
      `${flow.file} holds no retention node: give rules, such as --keep-last 7 --keep-daily 14`,
    );
  }
  const problem =
    wanted === undefined
      ? 'Several policies could be meant'
      : `"${wanted}" names ${found.length} retention nodes`;
  throw new BackupError(
    'invalid-config',
    `${problem} of ${flow.file}: choose one with --policy (${nodes.map(nodeLabel).join(', ')})`,
  );
}
