import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import { GuardianError, reasonOf } from '../../lib/guardian-error.ts';
import type { Deadline, NodeService } from './node-service.ts';
import { waitUntil } from './wait-until.ts';

const run = promisify(execFile);

/** A program and its arguments; no shell takes them apart. */
export type Command = readonly [program: string, ...args: string[]];

export interface CommandServiceOptions {
  readonly label: string;
  readonly stop: Command;
  readonly start: Command;
  /** Whether none of its processes is left. */
  readonly isStopped: () => Promise<boolean>;
  /** What else to do where it doesn't run. */
  readonly hint: string;
}

/** Something that is stopped and started by commands. They must take being repeated. */
export function commandService({ label, stop, start, isStopped, hint }: CommandServiceOptions): NodeService {
  return {
    label,
    async stop(deadline) {
      await runCommand(label, stop, deadline, hint);
      if (await waitUntil(isStopped, deadline)) return;
      throw new GuardianError('restore.not-stopped', `${label} still runs after ${stop.join(' ')}`, {
        hint,
        retryable: true,
      });
    },
    start: (deadline) => runCommand(label, start, deadline, hint),
    isStopped,
  };
}

/** A unit of systemd, by the node's own systemctl: the agent's container has none, but the node's namespaces in reach. */
export function systemdService(
  unit: string,
  isStopped: () => Promise<boolean>,
  onNode: Command = ON_NODE,
): NodeService {
  return commandService({
    label: `unit ${unit}`,
    stop: [...onNode, 'systemctl', 'stop', unit],
    start: [...onNode, 'systemctl', 'start', '--no-block', unit],
    isStopped,
    hint: lookAt(unit),
  });
}

/** Restarts a unit where it runs, and does nothing where it doesn't. Rejects with `restore.service`. */
export async function restartUnit(
  unit: string,
  deadline: Deadline,
  onNode: Command = ON_NODE,
): Promise<void> {
  await runCommand(`unit ${unit}`, [...onNode, 'systemctl', 'try-restart', unit], deadline, lookAt(unit));
}

/** Goes into the namespaces of the node's first process. */
const ON_NODE: Command = [
  ...(['nsenter', '--target=1', '--mount', '--uts', '--ipc', '--net', '--pid', '--'] as const),
];

function lookAt(unit: string): string {
  return `Look at "systemctl status ${unit}" and "journalctl -u ${unit}" on the node.`;
}

async function runCommand(
  label: string,
  [program, ...args]: Command,
  deadline: Deadline,
  hint: string,
): Promise<void> {
  const timeout = Math.max(1, Math.floor(deadline.leftMs()));
  try {
    await run(program, args, { timeout, signal: deadline.signal, maxBuffer: 1 << 20, killSignal: 'SIGKILL' });
  } catch (error) {
    throw new GuardianError(
      'restore.service',
      `${label}: ${[program, ...args].join(' ')} failed: ${reasonOf(error).slice(0, 1_000)}`,
      { hint, retryable: true, cause: error },
    );
  }
}
