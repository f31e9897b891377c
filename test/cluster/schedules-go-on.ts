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
    await eventually('both schedules had their time', async () => {
      const [often, tooMuch] = await Promise.all([
        eventsOf(story, 'team-a', 'often'),
        eventsOf(story, 'team-a', 'too-much'),
      ]);
      return often.includes('RunBegun') && tooMuch.includes('RunRefused');
    });
    const runs = await story.cluster.kubectl('get', 'etcdbackups', '--namespace=team-a', '--output=name');
    assert.match(runs, /\/often-\d{8}-\d{6}$/m);
    assert.doesNotMatch(runs, /too-much/);

    // By the name of the schedule its newest run is meant.
    const spec = { backupName: 'often', restoreMode: 'Full', conflictPolicy: 'Skip', dryRun: true };
    const restore = restoreOf('team-a', 'try', { ...spec, namespaceFilter: ['steady'] });
    await createObject(story, restore, ...AS_TINA);
    const ended = await endOf(story, 'team-a', 'etcdrestore/try');
    assert.equal(ended.phase, 'Completed', JSON.stringify(ended));
  });
}

/** A minute later. */
export function schedulesGoOn(told: () => Story): void {
  test('of the runs of the schedule its policy keeps the newest', async () => {
    const { cluster } = told();
    await eventually(
      'a run was removed, and repeated Events were counted',
      async () => {
        const lines = (await cluster.auditLog()).split('\n');
        const has = (verb: string, path: string): boolean =>
          lines.some((line) => line.includes(`"requestURI":"${path}`) && line.includes(`"verb":"${verb}"`));
        return has('delete', `${API}/team-a/etcdbackups/often-`) && has('patch', EVENTS);
      },
      180_000,
    );
  });
}
