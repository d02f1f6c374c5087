import type { Node, NodeAPI, NodeMessage } from 'node-red';
import { DeployWindow } from '../../nodes/deploy-window.ts';
import { runTracker, type TrackedRuntime } from '../../nodes/run-tracker.ts';

/** Types that this set registers, for the package file that names them. */
export const TRACKER_TYPES = [
  'test-source',
  'test-step',
  'test-destination',
  'test-sink',
  'test-loser',
  'test-failing',
  'test-throwing',
  'test-old',
  'test-two-handlers',
  'test-send-after-done',
  'test-broken',
] as const;

/** A run as the stub engine of these nodes sees it. */
export interface StubRun {
  readonly id: string;
  /** Id of the source node that opened it. */
  readonly source: string;
  /** For each destination that joined: the nodes that its message passed, itself last. */
  readonly joined: string[];
  /** How often the tracker sealed it, and what had joined at the first time. */
  seals: number;
  joinedAtSeal: string[];
  /** Destinations whose message came after the seal. */
  readonly late: string[];
  sealedAt: number;
}

/** What a test sees of its runs, and how it steers the nodes; passed through settings.js. */
export class StubEngine {
  readonly runs: StubRun[] = [];
  deadlineMs: number | undefined;
  /** Called at each seal; destinations commit when it resolves. */
  running: () => Promise<void> = () => Promise.resolve();
  /** Summaries that came out of destinations after their commit. */
  readonly committed: string[] = [];
  /** Sink nodes that got a message, in that order, and the messages. */
  readonly sunk: string[] = [];
  readonly messages: NodeMessage[] = [];
  readonly #commits = new Map<string, PromiseWithResolvers<void>>();

  open(source: string): StubRun {
    const id = `run-${this.runs.length + 1}`;
    const run: StubRun = { id, source, joined: [], seals: 0, joinedAtSeal: [], late: [], sealedAt: 0 };
    this.runs.push(run);
    this.#commits.set(id, Promise.withResolvers());
    return run;
  }

  seal(run: StubRun): void {
    run.seals++;
    if (run.seals > 1) return;
    run.sealedAt = performance.now();
    run.joinedAtSeal = run.joined.toSorted();
    this.running().then(() => this.#commits.get(run.id)?.resolve());
  }

  /** Resolves when the run commits; rejects when it cannot be joined any more. */
  async join(runId: string, path: string): Promise<void> {
    const run = this.runs.find((candidate) => candidate.id === runId);
    if (run === undefined) throw new Error(`no run ${runId}`);
    if (run.seals > 0) {
      run.late.push(path);
      throw new Error(`late: ${path}`);
    }
    run.joined.push(path);
    await this.#commits.get(runId)?.promise;
  }
}

interface Travelling extends NodeMessage {
  backup?: { runId: string; path: string[]; set?: string };
}
type Done = (error?: Error) => void;
type Send = (message: NodeMessage) => void;

/**
 * Small node types that behave as backup nodes and foreign nodes do: `test-source` opens a run, `test-step`
 * notes that it was passed, `test-destination` joins and holds its message until the commit, the others
 * treat messages as badly as nodes in the wild do.
 */
export default function register(RED: Omit<NodeAPI, 'hooks'> & TrackedRuntime): void {
  const tracker = runTracker(RED);
  const deploys = new DeployWindow(RED.events);
  const engine = (RED.settings as unknown as { testEngine: StubEngine }).testEngine;

  define(RED, 'test-source', (node) => {
    node.on('input', (msg: Travelling, send: Send, done: Done) => {
      const run = engine.open(node.id);
      const { deadlineMs } = engine;
      tracker.follow(run.id, { id: node.id, type: node.type }, msg, {
        seal: () => engine.seal(run),
        ...(deadlineMs === undefined ? {} : { deadlineMs }),
      });
      send({ ...msg, backup: { runId: run.id, path: [node.id] } });
      done();
    });
  });
  define(RED, 'test-step', (node) => {
    node.on('input', (msg: Travelling, send: Send, done: Done) => {
      msg.backup?.path.push(node.id);
      send(msg);
      done();
    });
  });
  define(RED, 'test-destination', (node) => {
    node.on('input', (msg: Travelling, _send: Send, done: Done) => {
      if (msg.backup === undefined) return done(new Error('no backup'));
      const { runId, path } = msg.backup;
      const place = [...path, node.id].join('>');
      const commit = engine.join(runId, place);
      tracker.joined(runId, { id: node.id, type: node.type }, msg);
      commit.then(
        async () => {
          engine.committed.push(place);
          const result = { ...msg, backup: { runId, path, set: node.id } };
          await deploys.afterDeploy(() => RED.nodes.getNode(node.id)?.send(result));
          done();
        },
        (error: Error) => done(error),
      );
    });
  });
  define(RED, 'test-sink', (node) => {
    node.on('input', (msg: Travelling, _send: Send, done: Done) => {
      engine.sunk.push(node.id);
      engine.messages.push(msg);
      done();
    });
  });
  define(RED, 'test-loser', (node) => {
    node.on('input', (_msg: Travelling, _send: Send, _done: Done) => {});
  });
  define(RED, 'test-failing', (node) => {
    node.on('input', (_msg: Travelling, _send: Send, done: Done) => done(new Error('this branch fails')));
  });
  define(RED, 'test-throwing', (node) => {
    node.on('input', (_msg: Travelling, _send: Send, _done: Done) => {
      throw new Error('this handler throws');
    });
  });
  define(RED, 'test-old', (node) => {
    node.on('input', (msg: Travelling) => node.send(msg));
  });
  define(RED, 'test-two-handlers', (node) => {
    node.on('input', (msg: Travelling, send: Send, done: Done) => {
      setTimeout(() => {
        send(msg);
        done();
      }, 20);
    });
    node.on('input', (_msg: Travelling) => {});
  });
  define(RED, 'test-send-after-done', (node) => {
    node.on('input', (msg: Travelling, send: Send, done: Done) => {
      done();
      send(msg);
    });
  });
  define(RED, 'test-broken', () => {
    throw new Error('this constructor throws');
  });
}

function define(RED: Pick<NodeAPI, 'nodes'>, type: string, setUp: (node: Node) => void): void {
  function TestNode(this: Node, config: Parameters<NodeAPI['nodes']['createNode']>[1]): void {
    RED.nodes.createNode(this, config);
    setUp(this);
  }
  RED.nodes.registerType(type, TestNode);
}
