import { startNode } from './node.ts';

// Starts a node, says which, and waits to be killed.
const { place, root } = await startNode();
process.stdout.write(`node ${place.name} ${root}\n`);
