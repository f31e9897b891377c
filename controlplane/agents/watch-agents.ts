import { type AgentClient, connectAgent } from '../../lib/agent-api/agent-client.ts';
import type { Description } from '../../lib/agent-api/description.ts';
import { GuardianError, hasCode, reasonOf } from '../../lib/guardian-error.ts';
import { startReflector } from '../../lib/kubernetes/reflector.ts';
import { errorFields, errorText } from '../../lib/log-lines.ts';
import { PODS, type Pod } from '../core-resources.ts';
import type { ControlPlaneTools } from '../tools.ts';
import type { AgentDirectory, KnownAgent } from './agent-directory.ts';
import { agentMetrics } from './agent-metrics.ts';
import { type AgentPod, agentPods } from './agent-pods.ts';
import { takeTerm } from './agent-terms.ts';
import { chooseAgent } from './choose-agent.ts';

export type WatchAgentsTools = Omit<ControlPlaneTools, 'agents' | 'signingKeyFile' | 'audit' | 'cluster'>;

/** An agent that is as it should be has told something in so long; for a choice. */
const FRESH_MS = 5_000;
const DESCRIBE_TIMEOUT_MS = 10_000;
/** Far enough from ours for certificates and backups' times to be in doubt. */
export const SKEW_LIMIT_MS = 60_000;

interface Entry {
  readonly pod: AgentPod;
  readonly client: AgentClient;
  description: Description | undefined;
  describedAt: Date | undefined;
  describedMs: number;
  problem: GuardianError | undefined;
  clockSkewMs: number | undefined;
  asking: Promise<Description> | undefined;
  term: Promise<bigint> | undefined;
}

/** Watches the agents' pods and asks them now and then, until the signal, which ends leadership. */
export function watchAgents(
  tools: WatchAgentsTools,
  signal: AbortSignal,
): AgentDirectory & { readonly synced: Promise<void> } {
  const { kube, namespace, settings, log, clock, leadership, events } = tools;
  const entries = new Map<string, Entry>();
  const listeners = new Set<(node: string) => void>();
  const metrics = agentMetrics(tools.metrics);
  const warned = new Map<string, string>();

  const changed = (node: string): void => {
    for (const listener of listeners) listener(node);
  };
  const sync = (): void => {
    const pods = agentPods(reflector.list(), settings.agentPort);
    for (const [node, entry] of entries) {
      const pod = pods.get(node);
      if (pod?.podUid === entry.pod.podUid && pod.address === entry.pod.address) continue;
      entry.client.close();
      entries.delete(node);
      metrics.gone(node);
      changed(node);
    }
    for (const [node, pod] of pods) {
      if (entries.has(node)) continue;
      const client = connectAgent({ ...pod, credentials: tools.credentials, clock });
      const nothing = { description: undefined, describedAt: undefined, problem: undefined };
      entries.set(node, {
        ...{ pod, client, ...nothing, clockSkewMs: undefined, describedMs: -Infinity },
        ...{ asking: undefined, term: undefined },
      });
      changed(node);
      void ask(node).catch(() => undefined);
    }
  };
  const reflector = startReflector<Pod>({
    ...{ client: kube, resource: PODS, namespace, labelSelector: settings.agentSelector, signal },
    onChange: () => {
      sync();
    },
    onTrouble: (error) => {
      log.write(
        'warning',
        'agents-watch',
        `the agents' pods can't be watched: ${errorText(error)}`,
        errorFields(error),
      );
    },
  });

  const entryOf = (node: string): Entry => {
    const entry = entries.get(node);
    if (entry !== undefined) return entry;
    throw new GuardianError('controlplane.no-agent', `node ${node} has no agent`, {
      hint: 'Is it a node that the agents’ DaemonSet selects? kubectl get pods -l app.kubernetes.io/component=agent -o wide',
      retryable: true,
    });
  };

  /** Tells people once what is wrong with an agent, and that it is over. */
  const warn = (pod: AgentPod, what: string, problem: string | undefined, reason: string): void => {
    const key = `${pod.node} ${what}`;
    if (warned.get(key) === problem || (problem === undefined && !warned.has(key))) return;
    const about = {
      ...{ apiVersion: 'v1', kind: 'Pod' },
      metadata: { name: pod.podName, namespace, uid: pod.podUid },
    };
    if (problem === undefined) {
      warned.delete(key);
      log.write('info', 'agent-well', `the agent of ${pod.node}: ${what} is over`, { node: pod.node });
      events.normal(about, `${reason}Over`, `${what} is over`);
    } else {
      warned.set(key, problem);
      log.write('warning', 'agent-trouble', problem, { node: pod.node, trouble: what });
      events.warning(about, reason, problem);
    }
  };

  const judgeClock = ({ pod, clockSkewMs = 0 }: Entry): void => {
    const seconds = Math.round(clockSkewMs / 1000);
    const text = `the clock of ${pod.node} is ${Math.abs(seconds)} s ${seconds < 0 ? 'behind' : 'ahead of'} the control plane's: certificates and times of backups depend on it; check NTP on both`;
    warn(pod, 'clock skew', Math.abs(clockSkewMs) > SKEW_LIMIT_MS ? text : undefined, 'ClockSkew');
  };

  const askOnce = async (entry: Entry): Promise<Description> => {
    const { pod, client } = entry;
    const isCurrent = (): boolean => entries.get(pod.node) === entry;
    try {
      const sentAt = clock().getTime();
      const description = await client.describe({}, { signal, timeoutMs: DESCRIBE_TIMEOUT_MS });
      const now = clock();
      // Another instance may have another disk under it.
      if (entry.description !== undefined && entry.description.instance !== description.instance)
        entry.term = undefined;
      entry.clockSkewMs = description.timeMs - (sentAt + now.getTime()) / 2;
      Object.assign(entry, { description, describedAt: now, problem: undefined });
      entry.describedMs = performance.now();
      if (isCurrent()) {
        metrics.told(pod.node, description, entry.clockSkewMs);
        warn(pod, 'no answer', undefined, 'AgentUnreachable');
        judgeClock(entry);
        changed(pod.node);
      }
      return description;
    } catch (error) {
      signal.throwIfAborted();
      const problem = agentProblem(pod.node, error);
      const isNew = entry.problem?.code !== problem.code;
      entry.problem = problem;
      if (isCurrent()) {
        metrics.silent(pod.node);
        warn(pod, 'no answer', errorText(problem), 'AgentUnreachable');
        if (isNew) changed(pod.node);
      }
      throw problem;
    }
  };

  const ask = async (node: string): Promise<Description> => {
    const entry = entryOf(node);
    entry.asking ??= askOnce(entry).finally(() => {
      entry.asking = undefined;
    });
    return entry.asking;
  };

  const list = (): KnownAgent[] =>
    [...entries.values()]
      .map(({ pod, description, describedAt, problem, clockSkewMs }) => ({
        ...{ ...pod, description, describedAt, problem, clockSkewMs },
      }))
      .toSorted((a, b) => a.node.localeCompare(b.node));

  const survey = async (maxAgeMs: number, asker?: AbortSignal): Promise<KnownAgent[]> => {
    await waitFor(reflector.synced, asker);
    const now = performance.now();
    const stale = [...entries.values()].filter(
      ({ problem, describedMs }) => problem !== undefined || now - describedMs > maxAgeMs,
    );
    await waitFor(Promise.allSettled(stale.map(({ pod }) => ask(pod.node))), asker);
    return list();
  };

  const termOf = (entry: Entry, atLeast = 0n): Promise<bigint> => {
    leadership.requireLeading();
    if (entry.term !== undefined && atLeast === 0n) return entry.term;
    const { node } = entry.pod;
    const taken = takeTerm(entry.client, () => ask(node), tools.pod.name, atLeast, signal);
    entry.term = taken;
    taken.catch(() => {
      if (entry.term === taken) entry.term = undefined;
    });
    return taken;
  };

  // Gently: not all at once, and never again before the last answer is in.
  const poll = (): void => {
    for (const { pod } of entries.values()) {
      const spread = Math.min(settings.agentPollMs / 4, 5_000) * tools.random();
      const timer = setTimeout(() => void ask(pod.node).catch(() => undefined), spread);
      timers.add(timer);
    }
  };
  const timers = new Set<NodeJS.Timeout>();
  const polling = setInterval(() => {
    timers.clear();
    poll();
  }, settings.agentPollMs);
  signal.addEventListener(
    'abort',
    () => {
      clearInterval(polling);
      for (const timer of timers) clearTimeout(timer);
      for (const { client, pod } of entries.values()) {
        client.close();
        metrics.gone(pod.node);
      }
      entries.clear();
    },
    { once: true },
  );

  return {
    synced: reflector.synced,
    list,
    survey,
    async describe(node, asker) {
      return waitFor(ask(node), asker);
    },
    async choose(wish, asker) {
      return chooseAgent(await survey(FRESH_MS, asker), wish);
    },
    client: (node) => entryOf(node).client,
    async withTerm(node, operation, call, asker) {
      const entry = entryOf(node);
      const taking = termOf(entry);
      const term = await waitFor(taking, asker);
      try {
        leadership.requireLeading();
        return await call(entry.client, { operation, term });
      } catch (error) {
        if (!hasCode(error, 'agent.stale-term')) throw error;
        await leadership.verify(asker);
        if (entry.term === taking) entry.term = undefined;
        const higher = await waitFor(termOf(entry), asker);
        leadership.requireLeading();
        return call(entry.client, { operation, term: higher });
      }
    },
    async takeTerms(nodes, asker) {
      const all = nodes.map(entryOf);
      const terms = await waitFor(Promise.all(all.map((entry) => termOf(entry))), asker);
      const highest = terms.reduce((most, term) => (term > most ? term : most), 0n);
      const lower = all.filter((_, index) => (terms[index] ?? 0n) < highest);
      const raised = await waitFor(Promise.all(lower.map((entry) => termOf(entry, highest))), asker);
      const common = raised.every((term) => term === highest);
      if (common) return highest;
      throw new GuardianError('agent.stale-term', `agents gave out other terms than ${highest} meanwhile`, {
        hint: 'Somebody else takes terms there; it is tried again.',
        retryable: true,
      });
    },
    onChange(listener) {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
  };
}

function agentProblem(node: string, error: unknown): GuardianError {
  if (error instanceof GuardianError) return error;
  return new GuardianError('agent.failed', `the agent of ${node}: ${reasonOf(error)}`, {
    cause: error,
    retryable: true,
  });
}

/** Rejects with the signal's reason when that comes first; what is waited for goes on for others. */
async function waitFor<T>(work: Promise<T>, signal: AbortSignal | undefined): Promise<T> {
  if (signal === undefined) return work;
  signal.throwIfAborted();
  const { promise, reject } = Promise.withResolvers<never>();
  const stop = (): void => {
    reject(signal.reason as Error);
  };
  signal.addEventListener('abort', stop, { once: true });
  try {
    return await Promise.race([work, promise]);
  } finally {
    signal.removeEventListener('abort', stop);
  }
}
