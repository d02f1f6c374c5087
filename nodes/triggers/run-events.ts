import type { NodeStatus } from 'node-red';
import { z } from 'zod';
import { eventFilter } from '../../lib/events/event-filter.ts';
import {
  type BackupEvent,
  EVENT_NAMES,
  type EventName,
  jobsOf,
  SEVERITIES,
  type Severity,
} from '../../lib/events/run-event.ts';
import { defineNode } from '../define-node.ts';
import { nodeName } from '../forms/common-fields.ts';
import { optionKey } from '../forms/option-key.ts';
import { formatTime } from '../status/quantities.ts';
import type { Translate } from '../status/status-text.ts';

const TYPE = 'dbackup-run-events';

/** What most people want to be told: not each beginning, nor how far each run is. */
const USUAL: EventName[] = EVENT_NAMES.filter((name) => name !== 'started' && name !== 'progress');

const FILLS: Readonly<Record<Severity, 'green' | 'yellow' | 'red'>> = {
  info: 'green',
  warning: 'yellow',
  error: 'red',
};

/** Sends a message for what happens to the backups of this Node-RED, wherever they are. */
export const runEventsNode = defineNode({
  type: TYPE,
  set: 'triggers',
  role: 'listener',
  icon: 'dbackup-run-events.svg',
  inputs: 0,
  outputs: 1,
  schemaVersion: 1,
  schema: z.object({
    name: nodeName,
    events: z
      .array(z.enum(EVENT_NAMES))
      .min(1)
      .default(USUAL)
      .meta({ control: 'choices', icon: 'fa-bullhorn' }),
    jobs: z.array(z.string().min(1)).default([]).meta({ icon: 'fa-filter', placeholder: 'shop*' }),
    severity: z.enum(SEVERITIES).default('info').meta({ icon: 'fa-exclamation-triangle' }),
    onChange: z.boolean().default(false).meta({ icon: 'fa-exchange' }),
  }),
  setup(context) {
    const { runtime, settings } = context;
    const isWanted = eventFilter(settings);
    let leave: () => void = () => undefined;
    const tell = (event: BackupEvent) => {
      if (!isWanted(event)) return;
      // Nodes behind it may change what they get.
      context.send({ topic: event.event, payload: structuredClone(event) });
      if (event.event !== 'progress')
        context.status(shown(event, (key, values) => context.text(key, values)));
    };
    return {
      start: () => {
        leave = runtime.telling.audience.join(tell);
      },
      close: () => leave(),
    };
  },
});

/** The last event, beside the node. */
function shown(event: BackupEvent, text: Translate): NodeStatus {
  const name = text(optionKey(`${TYPE}.events`, event.event));
  const subject = jobsOf(event)?.join(', ') ?? '';
  const parts = [formatTime(new Date(event.at)), ...(subject === '' ? [] : [subject]), name];
  return { fill: FILLS[event.severity], shape: 'dot', text: parts.join(' · ') };
}
