import { layNodesNetwork } from './nodes-network.ts';

// A test process that is killed while it has nodes.
const network = await layNodesNetwork([[], []]);
process.stdout.write(`nodes at ${network.nodes.map(({ address }) => address).join(' ')}\n`);
setInterval(() => undefined, 60_000);
