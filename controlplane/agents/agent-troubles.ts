import type { LogLines } from '../../lib/log-lines.ts';
import type { ObjectEvents } from '../object-events.ts';
import type { AgentPod } from './agent-pods.ts';

/** Tells people once what is wrong with an agent, and once that it is over: in the log, and as Events of its pod. */
export interface AgentTroubles {
  /** `problem` undefined: it answers. */
  answer(pod: AgentPod, problem: string | undefined): void;
  clock(pod: AgentPod, skewMs: number): void;
}

/** Far enough from ours for certificates and backups' times to be in doubt. */
const SKEW_LIMIT_MS = 60_000;

export function agentTroubles(tools: {
  readonly log: LogLines;
  readonly events: ObjectEvents;
  readonly namespace: string;
}): AgentTroubles {
  const { log, events, namespace } = tools;
  const told = new Map<string, string>();
  const tell = (pod: AgentPod, what: string, problem: string | undefined, reason: string): void => {
    const key = `${pod.node} ${what}`;
    if (told.get(key) === problem || (problem === undefined && !told.has(key))) return;
    const about = {
      ...{ apiVersion: 'v1', kind: 'Pod' },
      metadata: { name: pod.podName, namespace, uid: pod.podUid },
    };
    if (problem === undefined) {
      told.delete(key);
      log.write('info', 'agent-well', `the agent of ${pod.node}: ${what} is over`, { node: pod.node });
      events.normal(about, `${reason}Over`, `${what} is over`);
    } else {
      told.set(key, problem);
      log.write('warning', 'agent-trouble', problem, { node: pod.node, trouble: what });
      events.warning(about, reason, problem);
    }
  };
  return {
    answer(pod, problem) {
      tell(pod, 'no answer', problem, 'AgentUnreachable');
    },
    clock(pod, skewMs) {
      const seconds = Math.round(skewMs / 1000);
      const text = `the clock of ${pod.node} is ${Math.abs(seconds)} s ${seconds < 0 ? 'behind' : 'ahead of'} the control plane's: certificates and times of backups depend on it; check NTP on both`;
      tell(pod, 'clock skew', Math.abs(skewMs) > SKEW_LIMIT_MS ? text : undefined, 'ClockSkew');
    },
  };
}
