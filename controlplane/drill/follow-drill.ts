import { GuardianError, hasCode } from '../../lib/guardian-error.ts';
import type { EtcdBackup } from '../../lib/kubernetes/api/etcd-backup.ts';
import { failureOf } from '../backup/backup-status.ts';
import { SECRETS } from '../core-resources.ts';
import { drillSecret, type Job, orderOf } from './drill-job.ts';
import type { DrillOrder } from './drill-order.ts';
import { type DrillPod, hasMounted, silenceOf, troubleOf } from './drill-outcome.ts';
import type { DrillPodSettings } from './drill-pod-settings.ts';
import { SERVED_ANNOTATION } from './drill-request.ts';
import { isFinal } from './is-final.ts';
import { type DrillTools, prepareDrill } from './prepare-drill.ts';
import { tellWaiting } from './tell-drill.ts';

/** What keeps a pod from running for so long is told. */
const PATIENCE_MS = 120_000;
/** A Secret that was refused, or is there already, is tried again after so long. */
const SUPPLY_AGAIN_MS = 300_000;

/** Looks after Jobs that wait for their pods: makes their Secrets, and knows what keeps them from running. */
export class DrillFollower {
  readonly #tools: DrillTools;
  readonly #pod: DrillPodSettings;
  /** By uid of the Job: until when its Secret needs no look, by the monotonic clock. */
  readonly #supplied = new Map<string, number>();
  /** By uid of the Job: what keeps its pod from running, and whether that was told. */
  readonly #troubles = new Map<string, { readonly why: string; told: boolean }>();

  constructor(tools: DrillTools, pod: DrillPodSettings) {
    this.#tools = tools;
    this.#pod = pod;
  }

  /** Gives a Job that was just made its Secret, for which its pod waits. */
  async supply(job: Job, order: DrillOrder, signal: AbortSignal): Promise<void> {
    const missing = await this.#whyUnsupplied(job, () => this.#supply(order, job, signal), signal);
    this.#note(uidOf(job), missing, false);
  }

  /** Looks after a Job that another replica may have begun, and tells what keeps it from running. */
  async follow(
    job: Job,
    backup: EtcdBackup | undefined,
    pods: readonly DrillPod[],
    signal: AbortSignal,
  ): Promise<void> {
    const uid = uidOf(job);
    const runs = pods.some(hasMounted);
    if (runs) this.#supplied.set(uid, Infinity);
    const isDue = (this.#supplied.get(uid) ?? 0) <= performance.now();
    const missing = backup !== undefined && isDue ? await this.#supplyLate(job, backup, signal) : undefined;
    this.#note(uid, missing ?? pods.map(troubleOf).find((one) => one !== undefined), runs);
    const isLate = this.#tools.clock().getTime() - (orderOf(job)?.at.getTime() ?? 0) > PATIENCE_MS;
    if (isLate && !runs && !this.#troubles.has(uid)) this.#note(uid, silenceOf(job), runs);
    const trouble = this.#troubles.get(uid);
    if (backup !== undefined && trouble?.told === false && isLate) {
      trouble.told = true;
      tellWaiting(this.#tools, backup, job.metadata.name, trouble.why);
    }
  }

  /** What kept its pod from running when it was last seen. */
  troubleOf(job: Job): string | undefined {
    return this.#troubles.get(uidOf(job))?.why;
  }

  /** What is known of other Jobs is needed no more. */
  keep(jobs: readonly Job[]): void {
    const kept = new Set(jobs.map(uidOf));
    for (const known of [this.#supplied, this.#troubles])
      for (const uid of [...known.keys()]) if (!kept.has(uid)) known.delete(uid);
  }

  async #supply(order: DrillOrder, job: Job, signal: AbortSignal): Promise<void> {
    const { kube, namespace } = this.#tools;
    let untilMs = Infinity;
    try {
      await kube.create(SECRETS, namespace, drillSecret(order, job, namespace), { signal });
    } catch (error) {
      if (!hasCode(error, 'kubernetes.exists')) throw error;
      untilMs = performance.now() + SUPPLY_AGAIN_MS;
    }
    this.#supplied.set(uidOf(job), untilMs);
  }

  async #supplyLate(job: Job, backup: EtcdBackup, signal: AbortSignal): Promise<string | undefined> {
    const wanted = { backup, requested: job.metadata.annotations?.[SERVED_ANNOTATION] };
    const supply = async (): Promise<void> => {
      await this.#supply(await prepareDrill(wanted, this.#pod, this.#tools, signal), job, signal);
    };
    return this.#whyUnsupplied(job, supply, signal);
  }

  /** Resolves to why there can be no Secret now; without it the pod waits until it is given up. */
  async #whyUnsupplied(
    job: Job,
    supply: () => Promise<void>,
    signal: AbortSignal,
  ): Promise<string | undefined> {
    try {
      await supply();
      return undefined;
    } catch (error) {
      signal.throwIfAborted();
      if (!(error instanceof GuardianError)) throw error;
      const againMs = isFinal(error) ? SUPPLY_AGAIN_MS : 0;
      this.#supplied.set(uidOf(job), performance.now() + againMs);
      return failureOf(error).message;
    }
  }

  /** What a pod said before it was taken away is what its Job ended for. */
  #note(uid: string, why: string | undefined, runs: boolean): void {
    const known = this.#troubles.get(uid);
    if (why === undefined) {
      if (runs) this.#troubles.delete(uid);
    } else if (known?.why !== why) this.#troubles.set(uid, { why, told: known?.told ?? false });
  }
}

function uidOf({ metadata: { uid, name } }: Job): string {
  return uid ?? name;
}
