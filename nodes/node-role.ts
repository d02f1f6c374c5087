/** What a node is in a flow: its colour, its status texts and its place in the plan follow from it. */
export type NodeRole = 'config' | 'trigger' | 'source' | 'transform' | 'destination' | 'restore';
