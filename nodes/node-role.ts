/**
 * What a node is in a flow: its colour, its status texts and its place in the plan follow from it. A `gate` lets some
 * messages pass. A `listener` sends what happens elsewhere, as Node-RED's own Catch and Status nodes do.
 */
export type NodeRole =
  | 'config'
  | 'trigger'
  | 'gate'
  | 'listener'
  | 'source'
  | 'transform'
  | 'destination'
  | 'restore'
  | 'retention'
  | 'notifier'
  | 'operation';
