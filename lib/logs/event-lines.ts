import { isStored } from '../backupset/manifest.ts';
import { messageAbout } from '../errors.ts';
import { formatBytes, formatDuration } from '../quantities.ts';
import type { CommittedSet, DestinationOutcome, RunProgress, RunResult } from '../runs/outcome.ts';
import type { ActiveState, FinalState } from '../runs/states.ts';
import type { LogLevel, LogLine } from './log-line.ts';

/** What a line says, before it is known when and of which run. */
export type Said = Pick<LogLine, 'level' | 'message' | 'node'>;

/** What a run does in each state on its way. */
const STATES: Readonly<Record<ActiveState, string>> = {
  planning: 'Opened: the messages of the run travel through the flow',
  queued: 'Waits for its turn',
  running: 'Begins',
  verifying: 'Reads back what is stored',
};

const END_LEVEL: Readonly<Record<FinalState, LogLevel>> = {
  succeeded: 'info',
  partial: 'warn',
  failed: 'error',
  cancelled: 'warn',
};

export function stateLine(state: ActiveState): Said {
  return { level: 'info', node: null, message: STATES[state] };
}

/** What the run does, without how far it has come. Pauses before another attempt are told by notices. */
export function stageLine({ stage, database, index, count }: RunProgress): Said | undefined {
  if (stage === 'waiting') return undefined;
  const isOfOne = stage === 'dumping' && database !== '';
  const what = isOfOne ? `dumping ${database} (${index} of ${count})` : stage;
  return { level: 'debug', node: null, message: `Stage: ${what}` };
}

/** What became of each destination, and of the run. */
export function endLines(result: RunResult): Said[] {
  return [
    ...result.destinations.map((destination) => destinationLine(destination, result.state)),
    endLine(result),
  ];
}

function destinationLine(destination: DestinationOutcome, state: FinalState): Said {
  const { label, node, set, error } = destination;
  const isNeeded = state !== 'succeeded';
  if (set === undefined) {
    const verb = isNeeded ? ' failed' : ' failed, and was not needed';
    const message = messageAbout(label, error?.message ?? 'nothing was stored', verb);
    return { level: isNeeded ? 'error' : 'warn', node, message };
  }
  const doubt = error === undefined ? '' : `: ${error.message}`;
  const level = error !== undefined || set.reference.status === 'partial' ? 'warn' : 'info';
  return { level, node, message: `${label} has ${storedText(set, destination)}${doubt}` };
}

function storedText(
  { reference, manifest, healed }: CommittedSet,
  { attempts, verified }: DestinationOutcome,
): string {
  const bytes = manifest.artifacts.filter(isStored).reduce((sum, { stored }) => sum + stored.bytes, 0);
  const facts = [
    `${formatBytes(bytes)} in ${reference.storage} ${reference.path}`,
    ...(reference.status === 'partial' ? ['partial'] : []),
    ...(healed ? ['copied from another destination after its own sink failed'] : []),
    ...(attempts === undefined ? [] : [`at attempt ${attempts}`]),
    ...(verified === true ? ['verified'] : []),
  ];
  return facts.join(', ');
}

function endLine({ state, rawBytes, openedAt, finishedAt, artifacts, error }: RunResult): Said {
  const took = formatDuration(finishedAt.getTime() - openedAt.getTime());
  const failed = artifacts.filter((artifact) => artifact.error !== undefined).length;
  const lost = failed === 0 ? '' : `, ${failed} of ${artifacts.length} databases failed`;
  const why = error === undefined ? '' : `: ${error.message}`;
  const ended = `${state.charAt(0).toUpperCase()}${state.slice(1)}`;
  return {
    level: END_LEVEL[state],
    node: null,
    message: `${ended} after ${took} with ${formatBytes(rawBytes)} of data${lost}${why}`,
  };
}
