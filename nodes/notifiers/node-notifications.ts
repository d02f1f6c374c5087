import { type BackupError, toBackupError } from '../../lib/errors.ts';
import { isProgress, type NotificationContent } from '../../lib/notifiers/content.ts';
import { NotificationDispatcher, type Outcome } from '../../lib/notifiers/dispatcher.ts';
import { type Channel, createNotifier, type Delivery } from '../../lib/notifiers/notifier.ts';
import { type Recipe, readRecipe } from '../../lib/plan/recipe.ts';
import type { BackupMessage, Deliver, NodeContext } from '../define-node.ts';
import { formatTime } from '../status/quantities.ts';
import { failure } from '../status/status-text.ts';
import { caughtErrorOf, contentOfMessage } from './message-content.ts';
import type { CommonSettings } from './notifier-fields.ts';

/** What a notifier puts into the messages that it has told of. */
interface Notified {
  readonly channel: string;
  readonly status: Outcome['status'];
  readonly attempts?: number;
  readonly responseId?: string;
}

/** What a message that has been through a failed notification bears, so that its error does not come back to it. */
interface NotifiedMessage extends BackupMessage {
  notification?: Notified | { readonly failed?: readonly string[] };
}

/** What a running notifier node does. */
export class NodeNotifications {
  readonly #context: NodeContext<CommonSettings>;
  readonly #channel: Channel;
  readonly #dispatcher: NotificationDispatcher;
  #overtaken = 0;
  /** It has been said that progress cannot be told, and nothing has been delivered since. */
  #saidProgressFails = false;

  constructor(context: NodeContext<CommonSettings>, channel: Channel) {
    const { id, runtime, settings } = context;
    this.#context = context;
    this.#channel = channel;
    const memory = async () => (await runtime.store()).notifications(id);
    const digests = async () => (await runtime.store()).schedule(`${id}/digest`);
    this.#dispatcher = new NotificationDispatcher({
      id,
      notifier: createNotifier(channel, { clock: runtime.clock }),
      policy: settings,
      clock: runtime.clock,
      memory,
      digestMemory: {
        open: async (timetable, now) => (await digests()).open(timetable, now),
        claim: async (at) => (await digests()).claim(at),
        restart: async (now) => (await digests()).restart(now),
        pause: async () => (await digests()).pause(),
        resume: async (now) => (await digests()).resume(now),
      },
      links: linksOf(settings),
      closing: runtime.closing,
      delivered: (delivery) => this.#delivered(delivery),
      overtaken: (progress) => this.#overtook(progress),
      failed: (error) => context.report(error),
      warn: (message) => context.warn(message),
    });
    runtime.operations.knowNotifier(channel.name);
  }

  /** Reminders and digests begin once all nodes have started; a flow that runs once sends none. */
  begin(): void {
    const { runtime } = this.#context;
    if (runtime.settings.schedules === false) return;
    runtime.deploys.onceStarted(() => this.#dispatcher.begin());
    runtime.closing.addEventListener('abort', this.#onClosing);
  }

  stop(): void {
    this.#dispatcher.stop();
    this.#context.runtime.closing.removeEventListener('abort', this.#onClosing);
  }

  /**
   * Tells of a message and hands it on. It keeps no run waiting: a message on its way to a destination goes on at once.
   * @throws BackupError when nobody could be told
   */
  async tell(message: NotifiedMessage, deliver: Deliver): Promise<void> {
    const { id, label, runtime, settings } = this.#context;
    if (comesBack(message, id)) {
      this.#context.warn(this.#context.text('notifier.ownError'));
      return;
    }
    const recipe = recipeOf(message);
    const isPlanned = recipe !== undefined && recipe.set === undefined;
    if (isPlanned) {
      deliver(message);
      runtime.tracker.joined(recipe.runId, this.#context.self, message);
    }
    const now = new Date(runtime.clock.now());
    const content = contentOfMessage(message, recipe, { now, label, links: linksOf(settings) });
    const outcome = await this.#dispatcher.handle(content);
    if (outcome.status === 'suppressed') this.#show('suppressed', content);
    if ('error' in outcome && outcome.error !== undefined) {
      // It is told anew in a moment, and the end of the run is tried for minutes.
      const isToldAnew = isProgress(content) && outcome.error.transient;
      if (!isToldAnew) {
        message.notification = { failed: [...failedBefore(message), id] };
        throw outcome.error;
      }
      this.#sayProgressFails(outcome.error);
    }
    if (!isPlanned)
      deliver({ ...message, notification: notified(this.#channel.name, outcome) } as BackupMessage);
  }

  #delivered(delivery: Delivery): void {
    const { runtime } = this.#context;
    runtime.operations.notified(this.#channel.name, delivery.status);
    for (const note of delivery.notes) {
      if (delivery.status !== 'skipped') this.#context.warn(note);
    }
    if (delivery.status === 'delivered') this.#saidProgressFails = false;
    if (delivery.error !== undefined) this.#context.status(failure(delivery.error));
    else this.#show(delivery.status === 'skipped' ? 'skipped' : 'delivered');
  }

  #overtook({ runId = '' }: NotificationContent): void {
    const { runtime, debug, text } = this.#context;
    this.#overtaken += 1;
    runtime.operations.notified(this.#channel.name, 'overtaken');
    debug(text('notifier.overtaken', { run: runId, times: this.#overtaken }));
  }

  /** Once, until something is delivered: each second would be too often to be told of a service that is dead. */
  #sayProgressFails({ message }: BackupError): void {
    if (!this.#saidProgressFails)
      this.#context.warn(this.#context.text('notifier.progressFails', { message }));
    this.#saidProgressFails = true;
  }

  #show(what: 'delivered' | 'skipped' | 'suppressed', content?: NotificationContent): void {
    const { runtime, text } = this.#context;
    const time = formatTime(new Date(runtime.clock.now()));
    const event = content?.job === undefined ? '' : ` · ${content.job}`;
    const shown = `${what === 'delivered' ? '✓ ' : ''}${time} · ${text(`notifier.status.${what}`)}${event}`;
    if (what === 'delivered') this.#context.status({ fill: 'green', shape: 'dot', text: shown });
    else this.#context.status({ fill: 'grey', shape: 'ring', text: shown });
  }

  readonly #onClosing = (): void => this.#dispatcher.stop();
}

/** Where a person finds out more. */
export function linksOf({ link }: CommonSettings) {
  return link === '' ? [] : [{ title: 'Open DBackup', url: link }];
}

/** The error of a notifier must not be told by itself, nor by others that have failed to tell of it. */
function comesBack(message: NotifiedMessage, id: string): boolean {
  return caughtErrorOf(message)?.source.id === id || failedBefore(message).includes(id);
}

function failedBefore({ notification }: NotifiedMessage): readonly string[] {
  if (notification === undefined || !('failed' in notification)) return [];
  const { failed } = notification;
  return Array.isArray(failed) ? failed : [];
}

/** A message that has no recipe, or one that cannot be read, is told of as what else it is. */
function recipeOf({ backup }: BackupMessage): Recipe | undefined {
  try {
    return readRecipe(backup);
  } catch (thrown) {
    toBackupError(thrown);
    return undefined;
  }
}

function notified(channel: string, outcome: Outcome): Notified {
  if (outcome.status === 'suppressed' || outcome.status === 'overtaken') {
    return { channel, status: outcome.status };
  }
  const { status, attempts, responseId } = outcome;
  return { channel, status, attempts, ...(responseId === undefined ? {} : { responseId }) };
}
