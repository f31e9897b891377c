import { connectAgent } from '../../lib/agent-api/agent-client.ts';
import { GuardianError, hasCode } from '../../lib/guardian-error.ts';
import { startReflector } from '../../lib/kubernetes/reflector.ts';
import { errorFields, errorText } from '../../lib/log-lines.ts';
import { PODS, type Pod } from '../core-resources.ts';
import type { ControlPlaneTools } from '../tools.ts';
import type { AgentDirectory, KnownAgent } from './agent-directory.ts';
import { agentMetrics } from './agent-metrics.ts';
import { agentPods } from './agent-pods.ts';
import { agentTroubles } from './agent-troubles.ts';
import { chooseAgent } from './choose-agent.ts';
import { WatchedAgent, type WatchedAgentTools } from './watched-agent.ts';

export type WatchAgentsTools = Omit<ControlPlaneTools, 'agents' | 'signingKeyFile' | 'audit' | 'cluster'>;

/** An agent that is as it should be has told something in so long; for a choice. */
const FRESH_MS = 5_000;

/** Watches the agents' pods and asks them now and then, until the signal, which ends leadership. */
export function watchAgents(
  tools: WatchAgentsTools,
  signal: AbortSignal,
): AgentDirectory & { readonly synced: Promise<void> } {
  const { kube, namespace, settings, log, clock, leadership } = tools;
  const watched = new Map<string, WatchedAgent>();
  const listeners = new Set<(node: string) => void>();
  const metrics = agentMetrics(tools.metrics);
  const troubles = agentTroubles(tools);
  const changed = (node: string): void => {
    for (const listener of listeners) listener(node);
  };
  const ofOne: WatchedAgentTools = {
    ...{ clock, signal, podName: tools.pod.name },
    requireLeading: () => {
      leadership.requireLeading();
    },
    onAnswer({ pod }, description, clockSkewMs) {
      metrics.told(pod.node, description, clockSkewMs);
      troubles.answer(pod, undefined);
      troubles.clock(pod, clockSkewMs);
      changed(pod.node);
    },
    onSilence({ pod }, problem, isNew) {
      metrics.silent(pod.node);
      troubles.answer(pod, errorText(problem));
      if (isNew) changed(pod.node);
    },
  };

  const sync = (): void => {
    const pods = agentPods(reflector.list(), settings.agentPort);
    for (const [node, agent] of watched) {
      const pod = pods.get(node);
      if (pod?.podUid === agent.pod.podUid && pod.address === agent.pod.address) continue;
      agent.close();
      watched.delete(node);
      metrics.gone(node);
      changed(node);
    }
    for (const [node, pod] of pods) {
      if (watched.has(node)) continue;
      const client = connectAgent({ ...pod, credentials: tools.credentials, clock });
      const agent = new WatchedAgent(pod, client, ofOne);
      watched.set(node, agent);
      changed(node);
      void agent.ask().catch(() => undefined);
    }
  };
  const reflector = startReflector<Pod>({
    ...{ client: kube, resource: PODS, namespace, labelSelector: settings.agentSelector, signal },
    onChange: () => {
      sync();
    },
    onTrouble: (error) => {
      const text = `the agents' pods can't be watched: ${errorText(error)}`;
      log.write('warning', 'agents-watch', text, errorFields(error));
    },
  });
  const agentOf = (node: string): WatchedAgent => {
    const agent = watched.get(node);
    if (agent !== undefined) return agent;
    throw new GuardianError('controlplane.no-agent', `node ${node} has no agent`, {
      hint: 'Is it a node that the agents’ DaemonSet selects? kubectl get pods -l app.kubernetes.io/component=agent -o wide',
      retryable: true,
    });
  };
  const list = (): KnownAgent[] =>
    [...watched.values()].map(({ known }) => known).toSorted((a, b) => a.node.localeCompare(b.node));
  const survey = async (maxAgeMs: number, asker?: AbortSignal): Promise<KnownAgent[]> => {
    await waitFor(reflector.synced, asker);
    const now = performance.now();
    const stale = [...watched.values()].filter((agent) => !agent.isFresh(maxAgeMs, now));
    await waitFor(Promise.allSettled(stale.map((agent) => agent.ask())), asker);
    return list();
  };

  const stopPolling = poll(settings.agentPollMs, tools.random, () => watched);
  signal.addEventListener(
    'abort',
    () => {
      stopPolling();
      for (const agent of watched.values()) {
        agent.close();
        metrics.gone(agent.pod.node);
      }
      watched.clear();
    },
    { once: true },
  );

  return {
    synced: reflector.synced,
    list,
    survey,
    async describe(node, asker) {
      return waitFor(agentOf(node).ask(), asker);
    },
    async choose(wish, asker) {
      return chooseAgent(await survey(FRESH_MS, asker), wish);
    },
    client: (node) => agentOf(node).client,
    async withTerm(node, operation, call, asker) {
      const agent = agentOf(node);
      const taking = agent.term();
      const term = await waitFor(taking, asker);
      try {
        leadership.requireLeading();
        return await call(agent.client, { operation, term });
      } catch (error) {
        if (!hasCode(error, 'agent.stale-term')) throw error;
        await leadership.verify(asker);
        agent.forgetTerm(taking);
        const higher = await waitFor(agent.term(), asker);
        leadership.requireLeading();
        return call(agent.client, { operation, term: higher });
      }
    },
    onChange(listener) {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
  };
}

/** Asks gently: not all at once, and never again before the last answer is in. What comes back ends it. */
function poll(
  everyMs: number,
  random: () => number,
  agents: () => ReadonlyMap<string, WatchedAgent>,
): () => void {
  const timers = new Set<NodeJS.Timeout>();
  const polling = setInterval(() => {
    timers.clear();
    for (const node of agents().keys()) {
      const spread = Math.min(everyMs / 4, 5_000) * random();
      // By then it may be another one's.
      const ask = (): void =>
        void agents()
          .get(node)
          ?.ask()
          .catch(() => undefined);
      timers.add(setTimeout(ask, spread));
    }
  }, everyMs);
  return () => {
    clearInterval(polling);
    for (const timer of timers) clearTimeout(timer);
  };
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
