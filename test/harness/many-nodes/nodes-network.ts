import { execFileSync } from 'node:child_process';
import { reasonOf } from '../../../lib/guardian-error.ts';
import { removeLink } from '../cluster/node-network.ts';
import { claimPlace } from '../cluster/node-place.ts';
import { CLUSTER_VERSIONS, systemRoot } from '../cluster/node-system.ts';
import { runProgram } from '../run-program.ts';
import { type ServerProcess, startProcess } from '../server-process.ts';
import { needs } from '../tools.ts';
import { join } from 'node:path';

/** Nodes in network and mount namespaces of their own, on one bridge that we are on, too. */
export interface NodesNetwork extends AsyncDisposable {
  /** Ours, as nodes see us. */
  readonly hostAddress: string;
  /** Ours as well, for what must stay in reach when nodes are cut off from `hostAddress`. */
  readonly storeAddress: string;
  readonly nodes: readonly NodePlace[];
}

export interface NodePlace {
  readonly address: string;
  /** A command that runs the command after it on the node. */
  readonly within: readonly string[];
  /** Where a path of the node is for us. */
  path(path: string): string;
  /** What it sends to `hostAddress` is lost, until `mend`; other nodes are in reach. */
  cutFromHost(): Promise<void>;
  /** Its cable is pulled out: nobody is in reach. */
  unplug(): Promise<void>;
  /** Undoes both. */
  mend(): Promise<void>;
}

/** Options for `test()`: skips it, with its reason, on a machine that allows no network namespaces, in CI too. */
export function needsNodes(...programs: readonly string[]): { skip?: string } {
  const tools = needs(`containerd ${CLUSTER_VERSIONS.containerd}`, ...programs);
  if (tools.skip !== undefined) return tools;
  const reason = whyNoNodes();
  return reason === undefined ? {} : { skip: `NOT RUN: no nodes can be made on this machine: ${reason}` };
}

/**
 * Makes namespaces and cables. All of them hang on processes of ours, the bridge too: with the processes they are gone,
 * however those ended. `mounts`: for each node the commands that mount what only this node has.
 */
export async function layNodesNetwork(mounts: readonly (readonly string[])[]): Promise<NodesNetwork> {
  await using stack = new AsyncDisposableStack();
  const place = stack.use(await claimPlace());
  const network = place.hostAddress.replace(/\.\d+$/, '');
  const [hostAddress, storeAddress] = [`${network}.1`, `${network}.2`];
  const hub = stack.use(await namespaces([]));
  const holders = await Promise.all(mounts.map((commands) => namespaces(commands)));
  for (const holder of holders) stack.use(holder);

  const { hostInterface } = place;
  await inNode(hub, ['link add br0 type bridge', 'link set br0 up']);
  await ip('link', 'add', hostInterface, 'type', 'veth', 'peer', 'name', 'host0', 'netns', String(hub.pid));
  stack.defer(() => removeLink(hostInterface));
  for (const address of [hostAddress, storeAddress])
    await ip('addr', 'add', `${address}/24`, 'dev', hostInterface);
  await ip('link', 'set', hostInterface, 'up');
  await inNode(hub, ['link set host0 master br0 up']);
  const nodes: NodePlace[] = [];
  for (const [at, holder] of holders.entries()) {
    const address = `${network}.${11 + at}`;
    const cable = `node${at + 1}`;
    await inNode(hub, [
      `link add ${cable} type veth peer name eth0 netns ${holder.pid}`,
      `link set ${cable} master br0 up`,
    ]);
    await inNode(holder, [...['link set lo up', `addr add ${address}/24 dev eth0`, 'link set eth0 up']]);
    nodes.push({
      address,
      within: ['nsenter', `--target=${holder.pid}`, '--net', '--mount', '--'],
      path: (path) => join('/proc', String(holder.pid), 'root', path),
      cutFromHost: () => inNode(holder, [`route replace blackhole ${hostAddress}/32`]),
      unplug: () => inNode(hub, [`link set ${cable} down`]),
      async mend() {
        await inNode(hub, [`link set ${cable} up`]);
        await inNode(holder, ['route flush type blackhole']);
      },
    });
  }
  const kept = stack.move();
  return { hostAddress, storeAddress, nodes, [Symbol.asyncDispose]: () => kept.disposeAsync() };
}

/** Network and mount namespaces, which are there as long as this process or others in them. */
async function namespaces(mounts: readonly string[]): Promise<ServerProcess> {
  const script = ['set -e', ...mounts, 'echo ready', 'exec sleep infinity'].join('\n');
  const holder = await startProcess('unshare', ['--net', '--mount', 'sh', '-c', script]);
  try {
    await holder.line(/^ready$/);
    return holder;
  } catch (error) {
    await holder.kill();
    throw error;
  }
}

/** Commands of `ip`. */
async function inNode({ pid }: ServerProcess, commands: readonly string[]): Promise<void> {
  const script = commands.map((command) => `chroot "$0" ip ${command}`).join(' && ');
  await runProgram('nsenter', [`--target=${pid}`, '--net', 'sh', '-c', script, systemRoot()]);
}

async function ip(...args: readonly string[]): Promise<void> {
  await runProgram('chroot', [systemRoot(), 'ip', ...args]);
}

function whyNoNodes(): string | undefined {
  if (process.platform !== 'linux') return 'it needs Linux';
  if (process.getuid?.() !== 0) return 'it needs root';
  const trial = 'mount -t tmpfs none /mnt && chroot "$0" ip link add trial0 type bridge';
  try {
    execFileSync('unshare', ['--net', '--mount', 'sh', '-c', trial, systemRoot()], { stdio: 'pipe' });
    return undefined;
  } catch (error) {
    return reasonOf(error).trim().split('\n').at(-1);
  }
}
