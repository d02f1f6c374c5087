import { readFileSync } from 'node:fs';
import type { Node, NodeAPI, NodeMessage } from 'node-red';

/** Types that this set registers, for the package file that names them. */
export const EMBED_TYPES = ['test-account', 'test-reader', 'test-timer', 'test-closing'] as const;

/** What nodes of this set have noted, by node id; passed through settings.js. */
export type Notes = Record<string, unknown>;

interface AccountConfig {
  readonly id: string;
  readonly type: string;
  readonly name: string;
  readonly z: string;
  readonly host?: string;
}

/** A config node with a password, a node that uses it, a node that throws out of a timer, a slow closer. */
export default function register(RED: NodeAPI): void {
  const notes = (RED.settings as unknown as { testNotes: Notes }).testNotes;

  function Account(this: Node<{ password: unknown }>, config: AccountConfig): void {
    RED.nodes.createNode(this, config);
    notes[this.id] = { host: config.host, password: this.credentials.password };
  }
  RED.nodes.registerType('test-account', Account, { credentials: { password: { type: 'password' } } });

  function Reader(this: Node, config: AccountConfig & { file?: string }): void {
    RED.nodes.createNode(this, config);
    if (config.file !== undefined) readFileSync(config.file);
    this.on('input', (message: NodeMessage, send: (sent: NodeMessage) => void, done: () => void) => {
      this.log('a message came');
      send(message);
      done();
    });
  }
  RED.nodes.registerType('test-reader', Reader);

  function Timer(this: Node, config: AccountConfig): void {
    RED.nodes.createNode(this, config);
    this.on('input', (_message: NodeMessage, _send: unknown, done: () => void) => {
      setTimeout(() => {
        throw new Error('nobody catches this');
      }, 1);
      done();
    });
  }
  RED.nodes.registerType('test-timer', Timer);

  function Closing(this: Node, config: AccountConfig): void {
    RED.nodes.createNode(this, config);
    this.on('close', (done: () => void) => {
      setTimeout(() => {
        notes[this.id] = 'closed';
        done();
      }, 50);
    });
  }
  RED.nodes.registerType('test-closing', Closing);
}
