import type { Node, NodeAPI, NodeDef, NodeMessage } from 'node-red';

/** What reached the recorders of a flow, in order. */
export interface Recorded {
  readonly node: string;
  readonly message: NodeMessage & { readonly error?: { readonly message: string } };
}

/** Registers `test-recorder`, a node that keeps the messages it gets, by way of settings.js. */
export default function register(RED: NodeAPI): void {
  const { testRecords } = RED.settings as unknown as { testRecords: Recorded[] };

  function Recorder(this: Node, definition: NodeDef): void {
    RED.nodes.createNode(this, definition);
    this.on('input', (message: NodeMessage, _send: unknown, done: () => void) => {
      testRecords.push({ node: this.name ?? this.id, message });
      done();
    });
  }
  RED.nodes.registerType('test-recorder', Recorder);
}
