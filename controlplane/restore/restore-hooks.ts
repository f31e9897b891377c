import { GuardianError, reasonOf } from '../../lib/guardian-error.ts';
import type { Hook } from '../../lib/kubernetes/api/etcd-backup-spec.ts';
import type { EtcdRestoreSpec } from '../../lib/kubernetes/api/etcd-restore-spec.ts';
import type { AgentClient } from '../../lib/agent-api/agent-client.ts';
import type { AuditLog, AuditRecord } from '../../lib/audit-log.ts';
import { visibleText } from '../../lib/visible-text.ts';

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
const ANSWER_S = 15;

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
  const { output, problem } = end;
  const told = output === '' ? '' : `: ${output}`;
  audit({
    ...{ ...about, what: 'exec', operation, scope: `${when} hook ${name} on node ${agent.node}` },
    // What it said is kept there, also when it ended well.
    message: problem === undefined ? output : `${problem}${told}`,
    result: problem === undefined ? 'succeeded' : 'failed',
  });
  return problem === undefined ? undefined : `${name} on ${agent.node}: ${problem}${told}`;
}

interface HookEnd {
  /** The end of what it said. */
  readonly output: string;
  /** Undefined: it ended well. */
  readonly problem: string | undefined;
}

async function said(
  agent: AgentClient,
  request: { readonly name: string; readonly command: string[]; readonly timeoutSeconds: number },
  fence: HookCalls['fence'],
  signal: AbortSignal,
): Promise<HookEnd> {
  let tail = '';
  const end = (problem?: string): HookEnd => ({ output: visibleText(tail.trim()), problem });
  try {
    // The agent ends it in time; whoever waits must not depend on that.
    const lateMs = (request.timeoutSeconds + ANSWER_S) * 1_000;
    const until = AbortSignal.any([signal, AbortSignal.timeout(lateMs)]);
    const updates = agent.runHook({ ...request, fence: await fence(agent) }, { signal: until });
    for await (const { stdout, stderr, ended, exitCode, timedOut } of updates) {
      tail = (tail + Buffer.concat([stdout, stderr]).toString('utf8')).slice(-LONGEST_OUTPUT);
      if (!ended) continue;
      if (timedOut) return end(`it took longer than ${request.timeoutSeconds} s`);
      return exitCode === 0 ? end() : end(`it ended with status ${exitCode}`);
    }
    return end('the agent told no end of it');
  } catch (error) {
    return end(reasonOf(error));
  }
}
