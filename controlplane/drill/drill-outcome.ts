import type { LastDrill } from '../../lib/kubernetes/api/etcd-backup-status.ts';
import type { KubeObject } from '../../lib/kubernetes/kube-client.ts';
import { type DrillSummary, parseDrillSummary } from '../../lib/restore/drill/drill-summary.ts';
import { visibleText } from '../../lib/visible-text.ts';
import { type Job, orderOf } from './drill-job.ts';
import { endOf } from './job-end.ts';
import { DRILL_CONTAINER } from './drill-pod.ts';

/** How a drill went, as statuses tell it. */
export interface DrillOutcome {
  readonly result: NonNullable<LastDrill['result']>;
  /** When it ended; undefined where nobody says. */
  readonly endedAt: Date | undefined;
  readonly message: string;
  /** What is known of what was restored. */
  readonly figures: DrillFigures;
}

export type DrillFigures = Pick<
  LastDrill,
  'recoverySeconds' | 'etcdVersion' | 'kubeApiserverVersion' | 'keys'
>;

/** A pod of a drill, as far as it tells how that went. */
export interface DrillPod extends KubeObject {
  readonly status?: {
    readonly phase?: string;
    readonly reason?: string;
    readonly message?: string;
    readonly conditions?: readonly PodCondition[];
    readonly initContainerStatuses?: readonly ContainerStatus[];
    readonly containerStatuses?: readonly ContainerStatus[];
  };
}

interface PodCondition {
  readonly type: string;
  readonly status: string;
  readonly reason?: string;
  readonly message?: string;
}

interface ContainerStatus {
  readonly name: string;
  readonly state?: {
    readonly waiting?: { readonly reason?: string; readonly message?: string };
    readonly running?: object;
    readonly terminated?: Terminated;
  };
}

interface Terminated {
  readonly exitCode: number;
  readonly reason?: string;
  readonly message?: string;
  readonly finishedAt?: string;
}

/**
 * What an ended Job came to. Passed and Failed are what the drill itself says; anything else that ended it makes it
 * Unknown. `seen`: what kept the pod from running while it was there.
 */
export function drillOutcome(job: Job, pods: readonly DrillPod[], seen: string | undefined): DrillOutcome {
  const ended = pods.flatMap((pod) => drillContainer(pod)?.state?.terminated ?? []).at(0);
  const summary = ended?.message === undefined ? undefined : summaryIn(ended.message);
  const endedAt = timeOf(ended?.finishedAt) ?? timeOf(job.status?.completionTime);
  if (summary !== undefined) return { figures: figuresOf(summary), ...told(summary, job.metadata), endedAt };
  const { reason, message } = endOf(job) ?? { reason: 'gone', message: '' };
  const trouble = pods.map(troubleOf).find((one) => one !== undefined) ?? seen;
  const end = [reason, message].filter((part) => part !== '').join(': ');
  return {
    ...{ result: 'Unknown', endedAt, figures: {} },
    message: limited(
      `the drill could not be held: ${trouble ?? end}${trouble === undefined ? '' : ` (${end})`}`,
    ),
  };
}

/** What becomes of a drill that could not begin, and was ended. */
export function notBegun(
  job: Job,
  pods: readonly DrillPod[],
  seen: string | undefined,
  limitMs: number,
): DrillOutcome {
  const why = pods.map(troubleOf).find((one) => one !== undefined) ?? seen ?? silenceOf(job);
  const after = `it had not begun ${Math.ceil(limitMs / 1_000)} s after it was ordered, and was ended`;
  return {
    ...{ result: 'Unknown', endedAt: undefined, figures: {} },
    message: limited(`the drill could not be held: ${why} (${after})`),
  };
}

/** What becomes of a drill whose time was over long ago. */
export function notEnded(job: Job, overMs: number): DrillOutcome {
  const { at } = orderOf(job) ?? {};
  return {
    ...{ result: 'Unknown', endedAt: new Date(overMs), figures: {} },
    message: `Job ${job.metadata.name}, begun at ${at?.toISOString() ?? ''}, never told an end, and was removed: it came back with a restored etcd, or nobody runs Jobs`,
  };
}

/** Why a pod doesn't run, or didn't, in its own words; undefined while it does. */
export function troubleOf({ status = {} }: DrillPod): string | undefined {
  const { phase, reason, message, conditions = [] } = status;
  if (phase === 'Succeeded') return undefined;
  if (reason !== undefined) return sentence(reason, message);
  const containers = [...(status.initContainerStatuses ?? []), ...(status.containerStatuses ?? [])];
  for (const { name, state } of containers) {
    const { waiting, terminated } = state ?? {};
    if (terminated !== undefined && terminated.exitCode !== 0)
      return sentence(
        `container ${name} ended with ${terminated.exitCode}`,
        [terminated.reason, tail(terminated.message)].filter((part) => part !== undefined).join(': '),
      );
    if (waiting !== undefined && !WAITS_IN_ORDER.has(waiting.reason ?? ''))
      return sentence(`container ${name} waits: ${waiting.reason ?? ''}`, waiting.message);
  }
  const unscheduled = conditions.find(({ type, status: is }) => type === 'PodScheduled' && is === 'False');
  return unscheduled && sentence(unscheduled.reason ?? 'Unschedulable', unscheduled.message);
}

/** What is said of a Job that has no pod, or whose pod waits for a volume: neither says so in its status. */
export function silenceOf({ metadata: { name, namespace = '' } }: Job): string {
  const look = `kubectl get events -n ${namespace} | grep ${name}`;
  return `no container has begun, and no pod says why. A Secret or ConfigMap that drills.* of the chart names may be missing: ${look}`;
}

/** Whether its Secret must have been there. */
export function hasMounted({ status }: DrillPod): boolean {
  const containers = [...(status?.initContainerStatuses ?? []), ...(status?.containerStatuses ?? [])];
  return containers.some(({ state }) => state?.running !== undefined || state?.terminated !== undefined);
}

/** Whether the drill itself has begun, and is to be waited for. */
export function hasBegun(pod: DrillPod): boolean {
  const { running, terminated } = drillContainer(pod)?.state ?? {};
  return hasEnded(pod) || running !== undefined || terminated !== undefined;
}

/** Whether containers of it may run; not of a pod that was told to end before `goneMs`, as on a node that is no more. */
export function mayRun(pod: DrillPod, goneMs: number): boolean {
  const toldMs = Date.parse(pod.metadata.deletionTimestamp ?? '');
  return !hasEnded(pod) && !(toldMs < goneMs);
}

function hasEnded({ status }: DrillPod): boolean {
  return status?.phase === 'Succeeded' || status?.phase === 'Failed';
}

const WAITS_IN_ORDER: ReadonlySet<string> = new Set(['', 'PodInitializing', 'ContainerCreating']);

function drillContainer({ status }: DrillPod): ContainerStatus | undefined {
  return status?.containerStatuses?.find(({ name }) => name === DRILL_CONTAINER);
}

function summaryIn(message: string): DrillSummary | undefined {
  try {
    return parseDrillSummary(message);
  } catch {
    return undefined;
  }
}

function figuresOf({ recoverySeconds, etcdVersion, kubeApiserverVersion, keys }: DrillSummary): DrillFigures {
  const version = (text: string): string => visibleText(text).slice(0, LONGEST_VERSION);
  return {
    ...(recoverySeconds === undefined ? {} : { recoverySeconds: Math.ceil(recoverySeconds) }),
    ...(etcdVersion === undefined ? {} : { etcdVersion: version(etcdVersion) }),
    ...(kubeApiserverVersion === undefined ? {} : { kubeApiserverVersion: version(kubeApiserverVersion) }),
    ...(keys === undefined ? {} : { keys }),
  };
}

function told(
  summary: DrillSummary,
  { name, namespace = '' }: Job['metadata'],
): Pick<DrillOutcome, 'result' | 'message'> {
  const { result, problem, failedChecks, failed, revision, recoverySeconds, keys, warnings } = summary;
  const log = `kubectl logs -n ${namespace} job/${name} -c ${DRILL_CONTAINER} tells all, for an hour.`;
  const at = revision === undefined ? '' : ` at revision ${revision}`;
  const warned = warnings === 0 ? '' : `; ${warnings} warnings: ${log}`;
  if (result === 'passed') {
    const seconds = recoverySeconds === undefined ? '' : ` in ${Math.ceil(recoverySeconds)} s`;
    const count = keys === undefined ? '' : `, ${keys} keys`;
    return {
      result: 'Passed',
      message: limited(`restored${seconds}${at}${count}; everything holds${warned}`),
    };
  }
  if (problem !== undefined) {
    const { code, message, hint } = problem;
    const begin = result === 'unknown' ? 'the drill could not be held: ' : '';
    const advice = hint === undefined ? '' : ` ${hint}`;
    const text = `${begin}${message.replace(/[.\s]*$/, '')} [${code}].${advice}`;
    return { result: result === 'unknown' ? 'Unknown' : 'Failed', message: limited(text) };
  }
  const checks = failedChecks.map(({ name, detail }) => `${name}: ${detail}`).join('; ');
  const more = failed > failedChecks.length ? `; and ${failed - failedChecks.length} more` : '';
  const text = `does not hold${at}: ${checks}${more}. Do not rely on this backup before you know why. ${log}`;
  return { result: result === 'unknown' ? 'Unknown' : 'Failed', message: limited(text) };
}

const LONGEST_VERSION = 64;
const LONGEST_MESSAGE = 4_000;

function sentence(what: string, detail: string | undefined): string {
  return detail === undefined || detail === '' ? what : `${what}: ${detail}`;
}

/** Logs end with what ended them. */
function tail(text: string | undefined): string | undefined {
  return text?.trim().slice(-1_000);
}

function limited(text: string): string {
  return visibleText(text.slice(0, LONGEST_MESSAGE)).slice(0, LONGEST_MESSAGE);
}

function timeOf(text: string | undefined): Date | undefined {
  const time = new Date(text ?? '');
  return Number.isNaN(time.getTime()) ? undefined : time;
}
