import { existsSync } from 'node:fs';
import { runProgram } from '../run-program.ts';
import { systemRoot } from './node-system.ts';

/** A cable: one end with us, the other in the node. */
export interface Cable {
  readonly hostInterface: string;
  readonly hostAddress: string;
  readonly nodeAddress: string;
  /** Networks that are reached through the node. */
  readonly behind: readonly string[];
}

/** Lays a cable into the network namespace of `pid`. Nothing else of our own network changes. */
export async function layCable(cable: Cable, pid: number): Promise<void> {
  const { hostInterface, hostAddress, nodeAddress, behind } = cable;
  await ip('link', 'add', hostInterface, 'type', 'veth', 'peer', 'name', 'eth0', 'netns', String(pid));
  await ip('addr', 'add', `${hostAddress}/30`, 'dev', hostInterface);
  await ip('link', 'set', hostInterface, 'up');
  const inside = ['--target', String(pid), '--net', 'chroot', systemRoot(), 'ip'];
  await runProgram('nsenter', [...inside, 'link', 'set', 'lo', 'up']);
  await runProgram('nsenter', [...inside, 'addr', 'add', `${nodeAddress}/30`, 'dev', 'eth0']);
  await runProgram('nsenter', [...inside, 'link', 'set', 'eth0', 'up']);
  await runProgram('nsenter', [...inside, 'route', 'add', 'default', 'via', hostAddress]);
  for (const network of behind) await ip('route', 'add', network, 'via', nodeAddress);
}

/** Its routes and its other end go with it. What isn't there is no error. */
export async function removeLink(hostInterface: string): Promise<void> {
  if (!existsSync(`/sys/class/net/${hostInterface}`)) return;
  await ip('link', 'del', hostInterface).catch((error: unknown) => {
    // A dead node's namespace may be taking it away just now.
    if (existsSync(`/sys/class/net/${hostInterface}`)) throw error;
  });
}

async function ip(...args: readonly string[]): Promise<void> {
  await runProgram('chroot', [systemRoot(), 'ip', ...args]);
}
