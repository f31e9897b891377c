import { GuardianError, reasonOf } from '../../lib/guardian-error.ts';
import type { EtcdBackup } from '../../lib/kubernetes/api/etcd-backup.ts';
import type { Hook } from '../../lib/kubernetes/api/etcd-backup-spec.ts';
import { errorText } from '../../lib/log-lines.ts';
import type { ControlPlaneTools } from '../tools.ts';

/** A hook that failed on a node. */
export interface HookResult {
  readonly name: string;
  readonly node: string;
  readonly message: string;
}

export interface HookTools {
  readonly backup: EtcdBackup;
  readonly tools: ControlPlaneTools;
  readonly signal: AbortSignal;
  readonly tell: (message: string) => void;
}

/**
 * Runs hooks one after the other, each on all control-plane nodes at the same time. Resolves to what failed: with
 * preBackup nothing runs after that. Rejects with `controlplane.hooks-off` and `controlplane.no-agent` where none can
 * run, and with the signal's reason.
 */
export async function runHooks(
  hooks: readonly Hook[],
  when: 'preBackup' | 'postBackup',
  { backup, tools, signal, tell }: HookTools,
): Promise<readonly HookResult[]> {
  if (hooks.length === 0) return [];
  const nodes = await hookNodes(tools, signal);
  const failed: HookResult[] = [];
  for (const hook of hooks) {
    tell(`running ${when} hook ${hook.name} on ${nodes.join(', ')}`);
    const results = await Promise.all(
      nodes.map((node) => onNode(node, hook, when, { backup, tools, signal })),
    );
    signal.throwIfAborted();
    failed.push(...results.filter((result) => result !== undefined));
    if (when === 'preBackup' && failed.length > 0) return failed;
  }
  return failed;
}

async function hookNodes({ settings, agents }: ControlPlaneTools, signal: AbortSignal): Promise<string[]> {
  if (!settings.hooks)
    throw new GuardianError('controlplane.hooks-off', 'hooks are turned off in this installation', {
      hint: 'Leave the hooks out, or let an administrator turn them on in the chart’s values.',
    });
  const known = await agents.survey(HOOK_SURVEY_MS, signal);
  if (known.length === 0)
    throw new GuardianError('controlplane.no-agent', 'there is no agent to run hooks on', {
      hint: 'Hooks run on control-plane nodes: see to the DaemonSet of the agents.',
      retryable: true,
    });
  return known.map(({ node }) => node);
}

const HOOK_SURVEY_MS = 60_000;

async function onNode(
  node: string,
  { name, exec, timeoutSeconds }: Hook,
  when: string,
  { backup, tools, signal }: Omit<HookTools, 'tell'>,
): Promise<HookResult | undefined> {
  const { uid = '', namespace = '', name: backupName } = backup.metadata;
  const command = [...(exec?.command ?? [])];
  const audit = (result: 'succeeded' | 'failed', message?: string): void => {
    tools.audit({
      who: backup.spec.requestedBy,
      what: 'exec',
      resource: { kind: 'EtcdBackup', namespace, name: backupName, uid },
      scope: `${when} hook ${name} on node ${node}`,
      ...{ result, message, operation: uid },
    });
  };
  try {
    const message = await tools.agents.withTerm(
      node,
      uid,
      async (agent, fence) => {
        let tail = '';
        const updates = agent.runHook(
          { fence, name: `${when}/${name}`, command, timeoutSeconds },
          { signal },
        );
        for await (const { stdout, stderr, ended, exitCode, timedOut } of updates) {
          tail = (tail + Buffer.concat([stdout, stderr]).toString('utf8')).slice(-LONGEST_OUTPUT);
          if (!ended) continue;
          if (timedOut) return `it took longer than ${timeoutSeconds} s: ${tail}`;
          return exitCode === 0 ? undefined : `it ended with status ${exitCode}: ${tail}`;
        }
        return 'the agent told no end of it';
      },
      signal,
    );
    audit(message === undefined ? 'succeeded' : 'failed', message);
    return message === undefined ? undefined : { name, node, message };
  } catch (error) {
    signal.throwIfAborted();
    const message = error instanceof GuardianError ? errorText(error) : reasonOf(error);
    audit('failed', message);
    return { name, node, message };
  }
}

const LONGEST_OUTPUT = 500;
