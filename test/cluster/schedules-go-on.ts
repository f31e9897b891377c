import assert from 'node:assert/strict';
import { test } from 'node:test';
import { eventually } from '../harness/eventually.ts';
import { AS_TINA, createObject, endOf, eventsOf, restoreOf, type Story } from './story.ts';

const API = '/apis/etcdguardian.io/v1alpha1/namespaces';
const EVENTS = '/apis/events.k8s.io/v1/namespaces/team-a/events/too-much';

/** What the schedules did that were made at the beginning, while everything else happened. */
export function schedulesRun(told: () => Story): void {
  test('schedules run, and what their creator may not have any more is refused', async () => {
    const story = told();
    await eventually(
      'both schedules had their time',
      async () => {
        const [runs, often, tooMuch] = await Promise.all([
          runsOf(story),
          eventsOf(story, 'team-a', 'often'),
          eventsOf(story, 'team-a', 'too-much'),
        ]);
        const newest =
          runs
            .filter((run) => run.startsWith('often-'))
            .sort()
            .at(-1) ?? '';
        const hadIts = /^often-\d{8}-\d{6} Completed /.test(newest) && often.includes('RunBegun');
        return hadIts && tooMuch.includes('RunRefused');
      },
      180_000,
    );
    // It ran while that was hers alone; and while there was no webhook a run could be made, and failed.
    const foreign = (await runsOf(story)).filter((run) => /^too-much-.*\bforeign\b/.test(run));
    assert.deepEqual(foreign, []);

    // By the name of the schedule its newest run is meant.
    const spec = { backupName: 'often', restoreMode: 'Full', conflictPolicy: 'Skip', dryRun: true };
    const restore = restoreOf('team-a', 'try', { ...spec, namespaceFilter: ['steady'] });
    await createObject(story, restore, ...AS_TINA);
    const ended = await endOf(story, 'team-a', 'etcdrestore/try');
    assert.equal(ended.phase, 'Completed', JSON.stringify(ended));
  });
}

/** `NAME PHASE NAMESPACES` of all there are in the tenant's namespace. */
async function runsOf({ cluster }: Story): Promise<string[]> {
  const line = '{.metadata.name} {.status.phase} {.status.namespaces.names}{"\\n"}';
  const output = `--output=jsonpath={range .items[*]}${line}{end}`;
  const text = await cluster.kubectl('get', 'etcdbackups', '--namespace=team-a', output);
  return text.split('\n').filter((run) => run !== '');
}

/** A minute later. */
export function schedulesGoOn(told: () => Story): void {
  test('of the runs of the schedule its policy keeps the newest', async () => {
    const { cluster, grants } = told();
    await eventually(
      'a run was removed, and repeated Events were counted',
      async () => {
        // What was done before the last change of rights doesn't show that today's are used.
        const lines = (await cluster.auditLog()).slice(grants.at(-1)?.from).split('\n');
        const has = (verb: string, path: string): boolean =>
          lines.some((line) => line.includes(`"requestURI":"${path}`) && line.includes(`"verb":"${verb}"`));
        return has('delete', `${API}/team-a/etcdbackups/often-`) && has('patch', EVENTS);
      },
      300_000,
    );
  });
}
