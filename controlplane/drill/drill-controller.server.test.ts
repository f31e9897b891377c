import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { eventually } from '../../test/harness/eventually.ts';
import { KUBE_PROGRAMS } from '../../test/harness/kube-apiserver.ts';
import { sample } from '../../test/harness/sampling.ts';
import { needs } from '../../test/harness/tools.ts';
import { ETCD_BACKUP_RESOURCE } from '../../lib/kubernetes/api/etcd-backup.ts';
import {
  type EtcdBackupSchedule,
  ETCD_BACKUP_SCHEDULE_RESOURCE,
} from '../../lib/kubernetes/api/etcd-backup-schedule.ts';
import { ETCD_RESTORE_RESOURCE } from '../../lib/kubernetes/api/etcd-restore.ts';
import { mayUser } from '../../lib/kubernetes/access-review.ts';
import { DRILL_ANNOTATION } from '../../lib/kubernetes/drill-annotation.ts';
import { fromBase64, SECRETS } from '../core-resources.ts';
import { NAMESPACE } from '../installation.fixture.ts';
import { Died, dyingAtOwn } from '../namespace-restore/dying-client.fixture.ts';
import { DRILL_ANNOTATIONS, DRILL_LABELS, drillJob, type Job, JOBS } from './drill-job.ts';
import { drillName, drillNames } from './drill-request.ts';
import { allow, refuseStatusOf } from './drill-rules.fixture.ts';
import { containerStatus, type DrillScene, PASSED, startDrillScene } from './drill-scene.fixture.ts';

const HOUR_MS = 3_600_000;
const WEEK_MS = 168 * HOUR_MS;
const KIND = { apiVersion: ETCD_RESTORE_RESOURCE.apiVersion, kind: 'EtcdRestore' };
/** Writes are the Job, its Secret, the status of the run, that of the schedule. */
const DEATHS = [1, 2, 3, 4].flatMap((write) => [true, false].map((isLost) => ({ write, isLost })));

describe('drills in the cluster', needs(...KUBE_PROGRAMS), () => {
  let scene: DrillScene;
  before(async () => {
    scene = await startDrillScene();
  });
  after(async () => {
    await scene[Symbol.asyncDispose]();
  });
  const remove = async (...names: readonly string[]): Promise<void> => {
    for (const name of names)
      await scene.installation.kube.delete({ resource: ETCD_BACKUP_RESOURCE, namespace: NAMESPACE, name });
  };
  /** How many Jobs go on. */
  const active = async (): Promise<number> => {
    const { items } = await scene.installation.kube.list<Job>(JOBS, { namespace: NAMESPACE });
    return items.filter(({ status }) => status?.conditions === undefined).length;
  };
  const told = (name: string, text: RegExp): Promise<boolean> =>
    eventually(`${name} is told ${text.source}`, async () =>
      (await scene.events(name)).some((one) => text.test(one)),
    );

  test('one of a schedule is of its newest run, told there and by the schedule, and again after the cadence', async () => {
    const of = await scene.schedule('nightly');
    await scene.completed('nightly-1', { of });
    await scene.completed('nightly-2', { of });
    await using replica = scene.start();
    const { job, secret } = await scene.begun('nightly-2');
    assert.deepEqual(
      ['immutable' in secret, secret.metadata.ownerReferences?.map(({ uid }) => uid)],
      [true, [job.metadata.uid]],
    );
    assert.match(JSON.stringify(job.spec), /"--cluster","c1","--backup","20261101t0000z"/);
    await scene.hold(job, PASSED);
    const drill = await scene.drilled('nightly-2');
    assert.partialDeepStrictEqual(drill, {
      result: 'Passed',
      recoverySeconds: 26,
      etcdVersion: '3.6.16',
      keys: 7,
    });
    const { status } = await scene.get('nightly-2');
    assert.equal(status?.validationResult?.lastDrillTime, drill.time);
    const schedule = await eventually('the schedule remembers', async () => {
      const reference = { resource: ETCD_BACKUP_SCHEDULE_RESOURCE, namespace: NAMESPACE, name: 'nightly' };
      const seen = await scene.installation.kube.get<EtcdBackupSchedule>(reference);
      return seen.status?.drill === undefined ? undefined : seen.status;
    });
    assert.deepEqual(schedule.drill, { ...drill, backup: 'nightly-2' });
    assert.equal(schedule.lastDrillTime, drill.time);
    await told('nightly-2', /^DrillStarted: a restore of it is rehearsed by Job drill-nightly-2-/);
    await told('nightly-2', /^DrillPassed: restored in 26 s at revision 42, 7 keys; everything holds$/);
    await told('nightly', /^DrillPassed: nightly-2: /);
    await eventually('metrics tell', async () => {
      const { text } = await replica.metrics.read();
      assert.match(text, /^etcdguardian_drill_total\{result="Passed"\} 1$/m);
      assert.match(text, /^etcdguardian_drill_recovery_seconds\{namespace="\S+",series="nightly"\} 26$/m);
      return /^etcdguardian_last_drill_timestamp_seconds\{namespace="\S+",series="nightly"\} \d+/m.test(text);
    });

    // The runs go; what the schedule remembers holds the next one up until it is due.
    await remove('nightly-1', 'nightly-2');
    await scene.completed('nightly-3', { of });
    await scene.later(WEEK_MS - 2 * HOUR_MS);
    await replica.looked();
    assert.equal((await scene.jobs('nightly-3')).length, 0);
    await scene.later(3 * HOUR_MS);
    const again = await scene.begun('nightly-3');
    const failedChecks = [{ name: 'every key is there', detail: 'keys: 6' }];
    await scene.hold(again.job, { ...PASSED, result: 'failed', failedChecks, failed: 1 });
    const failed = await scene.drilled('nightly-3');
    assert.equal(failed.result, 'Failed');
    await told(
      'nightly-3',
      /^DrillFailed: does not hold at revision 42: every key is there: keys: 6\. Do not rely/,
    );
    await remove('nightly-3');
  });

  test('what can’t be held is told while it waits, and tried again after an hour', async () => {
    await scene.completed('pulled');
    await using replica = scene.start();
    const { job } = await scene.begun('pulled');
    const waiting = { reason: 'ImagePullBackOff', message: 'Back-off pulling image "etcd:test"' };
    await scene.pod(job, { phase: 'Pending', initContainerStatuses: [containerStatus('etcd', { waiting })] });
    await scene.later(300_000);
    await told(
      'pulled',
      /^DrillWaiting: Job \S+ does not run: container etcd waits: ImagePullBackOff: Back-off/,
    );
    await scene.installation.kube.delete(
      {
        ...{ resource: { group: '', version: 'v1', plural: 'pods' }, namespace: NAMESPACE },
        name: `${job.metadata.name}-x1y2z`,
      },
      {},
    );
    await replica.looked();
    await scene.end(job, 'DeadlineExceeded');
    const first = await scene.drilled('pulled');
    assert.deepEqual([first.result, first.attempts], ['Unknown', 1]);
    assert.match(first.message ?? '', /ImagePullBackOff.*\(DeadlineExceeded: told by the test\)$/);
    assert.equal((await scene.get('pulled')).status?.validationResult?.lastDrillTime, undefined);
    await scene.later(0.5 * HOUR_MS);
    await replica.looked();
    assert.equal((await scene.jobs('pulled')).length, 1);
    await scene.later(0.6 * HOUR_MS);
    const again = await scene.begun('pulled');
    assert.notEqual(again.job.metadata.name, job.metadata.name);
    await scene.hold(again.job, PASSED);
    assert.deepEqual((await scene.drilled('pulled', first.time)).attempts, undefined);
    assert.ok(replica.lines.some(({ event }) => event === 'drill-not-held'));
    await remove('pulled');
  });

  test('one is held at a time, whatever became of the backup meanwhile', async () => {
    await scene.completed('first');
    await using replica = scene.start();
    const { job } = await scene.begun('first');
    await scene.completed('second');
    await remove('first');
    await replica.looked();
    assert.deepEqual([await active(), (await scene.jobs('second')).length], [1, 0]);
    await scene.hold(job, PASSED);
    const { job: next } = await scene.begun('second');
    assert.equal(await active(), 1);
    await scene.hold(next, PASSED);
    await scene.drilled('second');
    await remove('second');
  });

  test('none begins while the cluster is being restored', async () => {
    const { kube } = scene.installation;
    const reference = { resource: ETCD_RESTORE_RESOURCE, namespace: NAMESPACE, name: 'under-way' };
    const spec = { backupName: 'waits', restoreMode: 'Full' };
    await kube.create(reference.resource, NAMESPACE, { ...KIND, metadata: { name: 'under-way' }, spec });
    const phase = (to: string): Promise<object> =>
      kube.mergePatch({ ...reference, subresource: 'status' }, { status: { phase: to } });
    await phase('Restoring');
    await scene.completed('waits');
    await using replica = scene.start();
    await replica.looked();
    assert.deepEqual(await scene.jobs('waits'), []);
    await phase('Completed');
    const { job } = await scene.begun('waits');
    await scene.hold(job, PASSED);
    await scene.drilled('waits');
    await remove('waits');
  });

  test('an annotation asks for one, each value once; of what can’t be drilled it is refused', async () => {
    const unchecked = { validation: { enabled: true, consistencyCheck: false } };
    await scene.completed('asked', { spec: unchecked });
    await scene.completed('team', { spec: { namespaceSelector: { matchLabels: { team: 'a' } } } });
    await using replica = scene.start({ cadence: '0' });
    let before: string | undefined;
    for (const value of ['once', 'twice']) {
      await scene.annotate('asked', { [DRILL_ANNOTATION]: value });
      const { job } = await scene.begun('asked');
      await scene.hold(job, PASSED);
      const drill = await scene.drilled('asked', before);
      assert.deepEqual([drill.result, drill.requested], ['Passed', value]);
      before = drill.time;
      await scene.later(1_000);
    }
    await scene.annotate('team', { [DRILL_ANNOTATION]: 'now' });
    const refused = await scene.drilled('team');
    assert.deepEqual([refused.result, refused.requested], ['Unknown', 'now']);
    await told(
      'team',
      /^DrillRefused: it can't be drilled: it is a backup of namespaces.*EtcdRestore with dryRun/,
    );
    await replica.looked();
    assert.deepEqual([(await scene.jobs('asked')).length, (await scene.jobs('team')).length], [2, 0]);
    await remove('asked', 'team');
  });

  test('the rights of its requester count: to back it up by the cadence, to restore it on demand', async () => {
    const { kube } = scene.installation;
    const alice = { username: 'alice', groups: ['team-a'] };
    const data = { 'access-key-id': 'hers', 'secret-access-key': 'x' };
    await kube.create(SECRETS, NAMESPACE, { metadata: { name: 'alices' }, stringData: data });
    const storageLocation = { provider: 'S3', bucket: 'backups', region: 'r', credentialsSecret: 'alices' };
    await scene.completed('alices', { spec: { requestedBy: alice, storageLocation } });
    await scene.annotate('alices', { [DRILL_ANNOTATION]: 'now' });
    await using replica = scene.start();
    const asked = await scene.drilled('alices');
    assert.deepEqual([asked.result, asked.requested], ['Unknown', 'now']);
    assert.match(asked.message ?? '', /user "alice" may not restore etcdclusters/);
    assert.ok(replica.lines.some(({ audit, result }) => audit === true && result === 'denied'));
    await scene.later(1.1 * HOUR_MS);
    const due = await scene.drilled('alices', asked.time);
    assert.match(due.message ?? '', /user "alice" may not (get secrets|backup etcdclusters)/);
    assert.deepEqual(await scene.jobs('alices'), []);

    await allow(kube, alice.username, [
      { apiGroups: ['etcdguardian.io'], resources: ['etcdclusters'], verbs: ['backup'] },
      { apiGroups: [''], resources: ['secrets'], verbs: ['get'] },
    ]);
    const mayBackUp = { verb: 'backup', group: 'etcdguardian.io', resource: 'etcdclusters' };
    const mayRead = { verb: 'get', group: '', resource: 'secrets', namespace: NAMESPACE };
    for (const right of [mayBackUp, mayRead])
      await eventually('she has the right', () => mayUser(kube, alice, right));
    await scene.later(2.1 * HOUR_MS);
    const { job, secret } = await scene.begun('alices');
    const values = Object.values(secret.data ?? {}).map(fromBase64);
    assert.ok(values.includes('hers'));
    await scene.hold(job, PASSED);
    assert.equal((await scene.drilled('alices', due.time)).result, 'Passed');
    await remove('alices');
  });

  test('a Job that a restored etcd brings back, and a stranger in the way, are not taken for today’s', async () => {
    const { kube } = scene.installation;
    const backup = await scene.completed('back');
    const { namespace = '', name, uid = '' } = backup.metadata;
    const order = {
      ...{
        ...{ name: drillName(backup), secret: 'x' },
        backup: { namespace, name, uid },
        arguments: [],
        files: {},
        environment: {},
      },
      ...{ at: new Date(scene.now().getTime() - 48 * HOUR_MS) },
      images: { guardian: 'g', etcd: 'e', kubeApiserver: undefined },
    };
    const { drillsPod: pod } = scene.installation.settings({ drillsPod: '{"image":"g"}' });
    assert.ok(pod);
    const settings = { namespace: NAMESPACE, deadlineMs: 1, serviceAccount: 'etcdguardian-drill', pod };
    await kube.create(JOBS, NAMESPACE, drillJob(order, settings));
    await using replica = scene.start();
    const lost = await scene.drilled('back');
    assert.equal(lost.result, 'Unknown');
    assert.match(lost.message ?? '', /never told an end, and was removed: it came back with a restored etcd/);
    await replica.looked();
    const brought = (await scene.jobs('back')).filter(({ metadata }) => metadata.name === order.name);
    assert.ok(brought.every(({ metadata }) => metadata.deletionTimestamp !== undefined));
    await scene.collectGarbage();

    const { job } = await eventually('another is begun', async () => {
      const begun = (await scene.jobs('back')).find((one) => one.metadata.name !== order.name);
      return begun && { job: begun };
    });
    await scene.hold(job, PASSED);
    await scene.drilled('back', lost.time);
    await remove('back');

    const other = await scene.completed('blocked');
    const template = { ...drillJob({ ...order, name: 'x' }, settings).spec };
    const strangers = drillNames(other).slice(0, 2);
    for (const [index, taken] of strangers.entries()) {
      // Whose annotations or whose labels are not ours.
      const annotations = { [DRILL_ANNOTATIONS.uid]: index === 0 ? 'of-another' : other.metadata.uid };
      const metadata = { name: taken, annotations, ...(index === 0 ? { labels: DRILL_LABELS } : {}) };
      await kube.create(JOBS, NAMESPACE, { apiVersion: 'batch/v1', kind: 'Job', metadata, spec: template });
    }
    const { job: beside } = await scene.begun('blocked');
    assert.equal(beside.metadata.name, drillName(other, 2));
    await told('blocked', /^DrillNameTaken: Job \S+ is not ours and in the way.*kubectl delete job drill-/);
    await scene.hold(beside, PASSED);
    assert.equal((await scene.drilled('blocked')).result, 'Passed');
    await remove('blocked');
    for (const name of strangers) await kube.delete({ resource: JOBS, namespace: NAMESPACE, name });
  });

  test('a status that can’t be written holds up no other drill', async () => {
    await scene.completed('stubborn');
    await refuseStatusOf(scene.installation.kube, 'stubborn');
    await using replica = scene.start();
    const { job } = await scene.begun('stubborn');
    await scene.hold(job, PASSED);
    await eventually('it is told', () => replica.lines.some(({ event }) => event === 'drill-not-written'));
    await told('stubborn', /^DrillPassed: /);
    await scene.later(2 * HOUR_MS);
    await replica.looked();
    assert.equal((await scene.jobs('stubborn')).length, 1);
    await scene.completed('obliging');
    const other = await scene.begun('obliging');
    await scene.hold(other.job, PASSED);
    assert.equal((await scene.drilled('obliging')).result, 'Passed');
    assert.equal((await scene.get('stubborn')).status?.validationResult, undefined);
    await remove('stubborn', 'obliging');
  });

  for (const { write, isLost } of sample(DEATHS, 3, 'deaths of drills'))
    test(`a control plane that dies at write ${write}, which ${isLost ? 'was lost' : 'was done'}, leaves its drill to the next one`, async () => {
      const name = `dies-${write}-${isLost ? 'lost' : 'done'}`;
      const run = `${name}-1`;
      await scene.completed(run, { of: await scene.schedule(name) });
      const holding = scene.begun(run).then(({ job }) => scene.hold(job, PASSED));
      {
        const kube = dyingAtOwn(scene.installation.kube, { write, isLost });
        await using dying = scene.start({ kube });
        const { message } = new Died();
        await eventually('it dies', () => dying.lines.some((line) => line.message.includes(message)));
      }
      await using next = scene.start();
      await holding;
      const drill = await scene.drilled(run);
      assert.deepEqual([drill.result, drill.keys], ['Passed', 7]);
      const reference = { resource: ETCD_BACKUP_SCHEDULE_RESOURCE, namespace: NAMESPACE, name };
      await eventually('the schedule remembers', async () => {
        const { status } = await scene.installation.kube.get<EtcdBackupSchedule>(reference);
        return status?.drill?.time === drill.time && status?.lastDrillTime === drill.time;
      });
      await next.looked();
      assert.equal((await scene.jobs(run)).length, 1);
    });
});
