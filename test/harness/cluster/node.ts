import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { eventually } from '../eventually.ts';
import { runProgram } from '../run-program.ts';
import { startProcess } from '../server-process.ts';
import { temporaryFolder } from '../temporary-folder.ts';
import { requireTool } from '../tools.ts';
import { cgroupHierarchies, createCgroup, removeCgroup } from './cgroups.ts';
import { writeNodeFiles } from './node-files.ts';
import { layCable, removeLink } from './node-network.ts';
import { claimPlace, type NodePlace } from './node-place.ts';
import { CLUSTER_VERSIONS, systemRoot } from './node-system.ts';

/**
 * A machine of its own, as far as programs see it: own mounts, processes, network, name and cgroups, with containerd
 * running and a kubelet that starts as soon as it has settings.
 */
export interface Node extends AsyncDisposable {
  readonly place: NodePlace;
  /** The node's `/` as we see it: what lies on its disk, not what is mounted inside (`/run`, `/proc`). */
  readonly root: string;
  /** Runs a program in the node as root; resolves to its stdout. */
  exec(command: string, ...args: readonly string[]): Promise<string>;
  /** Runs a program in the node that reads `input`. */
  feed(input: AsyncIterable<Uint8Array>, command: string, ...args: readonly string[]): Promise<void>;
}

export async function startNode(): Promise<Node> {
  const hierarchies = cgroupHierarchies();
  if (typeof hierarchies === 'string') throw new Error(`no node can be started here: ${hierarchies}`);

  // What was taken is given back in the opposite order, also when a later step fails.
  await using stack = new AsyncDisposableStack();
  const place = stack.use(await claimPlace());
  const folder = stack.use(await temporaryFolder());
  const { root, own } = await writeNodeFiles(folder.path, place);
  const cgroups = hierarchies.map((hierarchy) => join(hierarchy.own, `etcdguardian-${place.name}`));
  await place.note({ folder: folder.path, cgroups });
  stack.defer(() => removeCgroup(cgroups));
  await createCgroup(`etcdguardian-${place.name}`, hierarchies);

  const kubernetes = dirname(requireTool('kubelet', CLUSTER_VERSIONS.kubernetes));
  const enter = [join(import.meta.dirname, 'enter-node.sh'), root, systemRoot(), kubernetes, own, place.name];
  const namespaces = ['--mount', '--pid', '--net', '--uts', '--ipc', '--cgroup', '--fork', '--kill-child'];
  const parent = await startProcess('sh', [
    '-c',
    // It moves into the cgroup first, so that the cgroup namespace begins there.
    'for folder in $0; do echo $$ >"$folder/cgroup.procs" || exit; done; exec "$@"',
    ...[cgroups.join(' '), 'unshare', ...namespaces, 'setsid', 'sh', ...enter],
  ]);
  stack.defer(() => removeLink(place.hostInterface));
  stack.defer(() => parent.kill());

  const died = parent.exited.then((how) => {
    throw new Error(`the node ended (${how}):\n${parent.output()}`);
  });
  const started = async (): Promise<string> => {
    const init = await eventually('the node has a first process', () => firstChild(parent.pid));
    const { podNetwork, serviceNetwork } = place;
    await layCable({ ...place, behind: [podNetwork, serviceNetwork] }, init);
    const prefix = enterCommand(init);
    await eventually('containerd answers', () => runProgram('nsenter', [...prefix, 'ctr', 'version']));
    return String(init);
  };
  const init = Number(await Promise.race([started(), died]));
  died.catch(() => undefined);

  const disposables = stack.move();
  return {
    ...{ place, root },
    exec: (command, ...args) => runProgram('nsenter', [...enterCommand(init), command, ...args]),
    feed: (input, command, ...args) => feed(input, [...enterCommand(init), command, ...args]),
    [Symbol.asyncDispose]: () => disposables.disposeAsync(),
  };
}

function enterCommand(init: number): string[] {
  const namespaces = ['--mount', '--pid', '--net', '--uts', '--ipc', '--cgroup', '--root', '--wd'];
  const environment = ['PATH=/opt/kubernetes/bin:/usr/sbin:/usr/bin', 'HOME=/root'];
  const kubeconfig = 'KUBECONFIG=/etc/kubernetes/admin.conf';
  return ['--target', String(init), ...namespaces, '--', 'busybox', 'env', '-i', ...environment, kubeconfig];
}

/** Its child in the new process namespace. */
async function firstChild(pid: number): Promise<number | undefined> {
  const children = await readFile(`/proc/${pid}/task/${pid}/children`, 'latin1');
  const [first = ''] = children.trim().split(' ');
  return first === '' ? undefined : Number(first);
}

async function feed(input: AsyncIterable<Uint8Array>, args: readonly string[]): Promise<void> {
  const child = spawn('nsenter', args, { stdio: ['pipe', 'ignore', 'pipe'] });
  const complaints = child.stderr.setEncoding('utf8').toArray() as Promise<string[]>;
  const [ended, written] = await Promise.allSettled([
    once(child, 'close') as Promise<[number | null]>,
    pipeline(Readable.from(input), child.stdin),
  ]);
  const cause: unknown = written.status === 'rejected' ? written.reason : undefined;
  const code = ended.status === 'fulfilled' ? ended.value[0] : null;
  if (code !== 0 || cause !== undefined)
    throw new Error(`${args.slice(-3).join(' ')} failed: ${(await complaints).join('')}`, { cause });
}
