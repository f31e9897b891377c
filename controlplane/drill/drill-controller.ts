import { hasCode } from '../../lib/guardian-error.ts';
import { startReflector } from '../../lib/kubernetes/reflector.ts';
import { errorFields, errorText } from '../../lib/log-lines.ts';
import { backupWatch } from '../backup/backup-watch.ts';
import type { Again, Controller } from '../controller.ts';
import { restoreWatch } from '../restore/restore-watch.ts';
import { scheduleWatch } from '../schedule/schedule-watch.ts';
import { DRILL_SELECTOR, type Job, JOBS } from './drill-job.ts';
import { DrillReconciler } from './drill-reconciler.ts';
import type { DrillTools } from './prepare-drill.ts';

/** All drills are looked at together: one is held at a time. */
const KEY = 'all';
/** Backups change often while they run, which says nothing about drills. */
const GATHER_MS = 500;
/** Our copies follow in a moment. */
const CONFLICT_MS = 200;

/** Rehearses restores in Jobs: by a cadence, and where somebody asks for it. */
export function drills(tools: DrillTools): Controller {
  let reconciler: DrillReconciler | undefined;
  return {
    name: 'drill',
    workers: 1,
    async start(queue, signal) {
      const { drillsPod: pod } = tools.settings;
      if (pod === undefined) return;
      const backups = backupWatch(tools, signal);
      const schedules = scheduleWatch(tools, signal);
      const restores = restoreWatch(tools, signal);
      const jobs = startReflector<Job>({
        ...{ client: tools.kube, resource: JOBS, namespace: tools.namespace, signal, random: tools.random },
        labelSelector: DRILL_SELECTOR,
        onChange: () => {
          queue.add(KEY);
        },
        onTrouble: (error) => {
          tools.log.write('warning', 'watch-trouble', `Jobs: ${errorText(error)}`, errorFields(error));
        },
      });
      const current = new DrillReconciler({ tools, pod, backups, schedules, restores, jobs });
      signal.addEventListener(
        'abort',
        () => {
          current.metrics.forget();
        },
        { once: true },
      );
      await Promise.all([backups.synced, schedules.synced, restores.synced, jobs.synced]);
      reconciler = current;
      for (const watch of [backups, schedules, restores])
        watch.listen(() => {
          queue.add(KEY, GATHER_MS);
        });
      queue.add(KEY);
    },
    async reconcile(_key, signal): Promise<Again | undefined> {
      try {
        return await reconciler?.reconcile(signal);
      } catch (error) {
        if (hasCode(error, 'kubernetes.conflict') || hasCode(error, 'kubernetes.not-found'))
          return { afterMs: CONFLICT_MS };
        throw error;
      }
    },
  };
}
