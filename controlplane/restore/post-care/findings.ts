import { slotsOf } from '../../schedule/slots.ts';
import type { Census, CountedPod, CronJob } from './census.ts';

/** What was seen before and behind a restore. */
export interface Seen {
  /** Just before the API servers were stopped; undefined: whoever counted is gone. */
  readonly before: Census | undefined;
  readonly after: Census;
  readonly cronJobs: readonly CronJob[];
  /** The moment that was restored; undefined: not known. */
  readonly restoredTo: Date | undefined;
  readonly now: Date;
  /** Addresses of API servers whose leases nobody renews and nothing ends; undefined: nobody could look. */
  readonly staleLeases: readonly string[] | undefined;
}

/** What there is for a person to know or to do, in sentences; none: nothing. Pure. */
export function findings(seen: Seen): string[] {
  const { after } = seen;
  const stray = [...after.pods.values()].filter(({ node }) => !after.nodes.has(node));
  return [
    ...changedPods(seen),
    ...changedNodes(seen),
    ...list('pods on nodes that the API does not know', stray.map(place), 'nobody runs them: delete them'),
    ...missedRuns(seen),
    ...leases(seen.staleLeases),
  ];
}

function changedPods({ before, after, restoredTo }: Seen): string[] {
  if (before === undefined)
    return ['which pods and nodes there were before is not known: whoever counted them is gone'];
  const gone = [...before.pods].filter(([uid]) => !after.pods.has(uid)).map(([, pod]) => pod);
  const back = [...after.pods]
    .filter(
      ([uid, { created }]) => !before.pods.has(uid) && restoredTo !== undefined && created <= restoredTo,
    )
    .map(([, pod]) => pod);
  return [
    ...list(
      'pods that ran and that the API no longer knows',
      gone.map(place),
      'their kubelets end them, and tokens bound to them are void',
    ),
    ...list('pods that had gone and came back', back.map(place), 'their kubelets start them again'),
  ];
}

function changedNodes({ before, after }: Seen): string[] {
  if (before === undefined) return [];
  const gone = [...before.nodes].filter((node) => !after.nodes.has(node));
  const back = [...after.nodes].filter((node) => !before.nodes.has(node));
  return [
    ...list(
      'nodes that the API no longer knows',
      gone,
      'restart their kubelets, so that they register again',
    ),
    ...list('nodes that had been removed and came back', back, 'delete them'),
  ];
}

function place({ name, node }: CountedPod): string {
  return `${name} on ${node}`;
}

/** So many runs are counted at most. */
const MOST_RUNS = 1_000;

function missedRuns({ cronJobs, restoredTo, now }: Seen): string[] {
  if (restoredTo === undefined)
    return cronJobs.length === 0
      ? []
      : ['which runs of CronJobs were lost is not known: the backup tells no time'];
  const missed = cronJobs.flatMap(({ metadata: { namespace = '', name }, spec }) => {
    if (spec.suspend === true) return [];
    try {
      const runs = slotsOf(spec.schedule, spec.timeZone ?? 'UTC').count(restoredTo, now, MOST_RUNS);
      return runs === 0 ? [] : [`${namespace}/${name} ${runs === MOST_RUNS ? `${runs} or more` : runs}`];
    } catch {
      // Its own controller can't read it either.
      return [];
    }
  });
  const what = `CronJobs with runs that were due since ${restoredTo.toISOString()}`;
  return list(what, missed, 'those may run again now, or what they did is gone');
}

function leases(stale: readonly string[] | undefined): string[] {
  if (stale === undefined)
    return ['nobody could look at /registry/masterleases: what is stale there should end by itself in 15 s'];
  return list(
    'leases in /registry/masterleases that nobody renews or ends',
    stale,
    'delete these keys in etcd',
  );
}

const MOST_NAMES = 10;

/** One sentence with the number and the first names; none where there is nothing. */
function list(what: string, names: readonly string[], then: string): string[] {
  if (names.length === 0) return [];
  const more = names.length > MOST_NAMES ? `, and ${names.length - MOST_NAMES} more` : '';
  const first = names.toSorted().slice(0, MOST_NAMES).join(', ');
  return [`${what} (${names.length}): ${first}${more}; ${then}`];
}
