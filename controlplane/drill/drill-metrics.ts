import type { LastDrill } from '../../lib/kubernetes/api/etcd-backup-status.ts';
import type { ControlPlaneMetrics } from '../metrics.ts';
import { type DrillSeries, drilledByItself, lastDrill, lastHeldMs } from './drill-series.ts';

/** Fills `etcdguardian_drill_*`, and when drills were held last. */
export class DrillMetrics {
  readonly #metrics: ControlPlaneMetrics;

  constructor(metrics: ControlPlaneMetrics) {
    this.#metrics = metrics;
  }

  /** It was recorded just now. */
  recorded({ result = 'Unknown' }: LastDrill): void {
    this.#metrics.drillTotal.inc({ result });
  }

  /** What there is, e.g. after a restart; what is gone goes. */
  seen(all: readonly DrillSeries[], now: Date): void {
    this.forget();
    for (const series of all) {
      const labels = { namespace: series.namespace, series: series.name };
      const heldMs = lastHeldMs(series, now);
      if (heldMs !== undefined) this.#metrics.lastDrill.set(labels, heldMs / 1000);
      const sinceMs = heldMs ?? beganMs(series);
      if (!series.isAlone && drilledByItself(series) !== undefined && sinceMs !== undefined)
        this.#metrics.noDrillSince.set(labels, sinceMs / 1000);
      const seconds = lastDrill(series, now)?.drill.recoverySeconds;
      if (seconds !== undefined) this.#metrics.drillRecoverySeconds.set(labels, seconds);
    }
  }

  /** Who leads no more has nothing to tell. */
  forget(): void {
    this.#metrics.lastDrill.reset();
    this.#metrics.noDrillSince.reset();
    this.#metrics.drillRecoverySeconds.reset();
  }
}

/** Since when a series could have been drilled: its oldest runs may be gone, what makes them stays. */
function beganMs({ parent, runs }: DrillSeries): number | undefined {
  const times = [parent?.object.metadata.creationTimestamp, runs.at(-1)?.status?.completionTime];
  return times.map((time) => Date.parse(time ?? '')).find((ms) => !Number.isNaN(ms));
}
