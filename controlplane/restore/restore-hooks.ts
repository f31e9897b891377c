import { GuardianError, reasonOf } from '../../lib/guardian-error.ts';
import type { Hook } from '../../lib/kubernetes/api/etcd-backup-spec.ts';
import type { EtcdRestoreSpec } from '../../lib/kubernetes/api/etcd-restore-spec.ts';
import type { AgentClient } from '../../lib/agent-api/agent-client.ts';
import type { AuditLog, AuditRecord } from '../../lib/audit-log.ts';

export interface RestoreHooks {
  readonly pre: readonly Hook[];
  readonly post: readonly Hook[];
}

export function hooksOf({ preRestoreHooks = [], postRestoreHooks = [] }: EtcdRestoreSpec): RestoreHooks {
  return { pre: preRestoreHooks, post: postRestoreHooks };
}

export interface HookCalls {
  readonly agents: readonly AgentClient[];
  readonly operation: string;
  /** A right to call, at that node; the restore's own coordinator has it, not the leader. */
  readonly fence: (agent: AgentClient) => Promise<{ readonly operation: string; readonly term: bigint }>;
  readonly audit: AuditLog;
  readonly about: Pick<AuditRecord, 'who' | 'resource'>;
}

/**
 * Runs hooks one after the other, each on all nodes of the restore at the same time. Resolves to what failed, in
 * sentences; with `pre` nothing runs after the first failure.
 */
export async function runRestoreHooks(
  hooks: readonly Hook[],
  when: 'preRestore' | 'postRestore',
  calls: HookCalls,
  signal: AbortSignal,
): Promise<readonly string[]> {
  const failed: string[] = [];
  for (const hook of hooks) {
    const ends = await Promise.all(calls.agents.map((agent) => onNode(agent, hook, when, calls, signal)));
    failed.push(...ends.filter((end) => end !== undefined));
    if (when === 'preRestore' && failed.length > 0) return failed;
  }
  return failed;
}

export function hookFailed([first = '']: readonly string[]): GuardianError {
  return new GuardianError('restore.hook-failed', `a preRestore hook failed: ${first}`, {
    hint: 'Correct the command, or leave the hook out. Nothing was stopped or changed.',
  });
}

const LONGEST_OUTPUT = 500;

async function onNode(
  agent: AgentClient,
  { name, exec, timeoutSeconds }: Hook,
  when: string,
  { fence, audit, about, operation }: HookCalls,
  signal: AbortSignal,
): Promise<string | undefined> {
  const end = await said(
    agent,
    { name: `${when}/${name}`, command: [...(exec?.command ?? [])], timeoutSeconds },
    fence,
    signal,
  );
  const message = end === undefined ? undefined : `${name} on ${agent.node}: ${end}`;
  audit({
    ...{ ...about, what: 'exec', operation, message, scope: `${when} hook ${name} on node ${agent.node}` },
    result: message === undefined ? 'succeeded' : 'failed',
  });
  return message;
}

/** What was wrong; undefined: it ended well. */
async function said(
  agent: AgentClient,
  request: { readonly name: string; readonly command: string[]; readonly timeoutSeconds: number },
  fence: HookCalls['fence'],
  signal: AbortSignal,
): Promise<string | undefined> {
  try {
    let tail = '';
    const updates = agent.runHook({ ...request, fence: await fence(agent) }, { signal });
    for await (const { stdout, stderr, ended, exitCode, timedOut } of updates) {
      tail = (tail + Buffer.concat([stdout, stderr]).toString('utf8')).slice(-LONGEST_OUTPUT);
      if (!ended) continue;
      if (timedOut) return `it took longer than ${request.timeoutSeconds} s: ${tail}`;
      return exitCode === 0 ? undefined : `it ended with status ${exitCode}: ${tail}`;
    }
    return 'the agent told no end of it';
  } catch (error) {
    return reasonOf(error);
  }
}
