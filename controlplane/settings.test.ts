import assert from 'node:assert/strict';
import { test } from 'node:test';
import { hasCode } from '../lib/guardian-error.ts';
import { CONTROL_PLANE_SETTINGS, controlPlaneSettings } from './settings.ts';

test('everything has a default but the names of the pod', () => {
  const settings = controlPlaneSettings({});
  assert.equal(settings.namespace, 'etcd-guardian-system');
  assert.equal(settings.enrolmentPort, 9641);
  assert.equal(settings.agentPollMs, 30_000);
  assert.equal(settings.podName, undefined);
  assert.equal(settings.hooks, false);
});

test('flags win over the environment, and an empty variable is none', () => {
  const env = { POD_NAMESPACE: 'backup', ETCDGUARDIAN_AGENT_POLL: '1m30s', ETCDGUARDIAN_LEASE: '' };
  const settings = controlPlaneSettings(env, { namespace: 'other', hooks: 'true' });
  assert.equal(settings.namespace, 'other');
  assert.equal(settings.agentPollMs, 90_000);
  assert.equal(settings.lease, 'etcdguardian-controlplane');
  assert.equal(settings.hooks, true);
});

test('everything that is wrong is named at once, by its variable', () => {
  assert.throws(
    () => controlPlaneSettings({ ETCDGUARDIAN_PAGES_PORT: '70000', ETCDGUARDIAN_AGENT_POLL: 'soon' }),
    (error) =>
      hasCode(error, 'controlplane.settings') &&
      error.message.includes('ETCDGUARDIAN_PAGES_PORT') &&
      error.message.includes('ETCDGUARDIAN_AGENT_POLL'),
  );
});

test('drills are held every week, every so often, or never; their pods are told as JSON', () => {
  const every = (text: string): number =>
    controlPlaneSettings({ ETCDGUARDIAN_DRILLS_EVERY: text }).drillsEveryMs;
  assert.deepEqual(['', '0', '1h30m', '7d'].map(every), [604_800_000, 0, 5_400_000, 604_800_000]);
  const pod = JSON.stringify({ image: 'etcdguardian:1', nodeSelector: { disk: 'fast' } });
  const { drillsPod } = controlPlaneSettings({ ETCDGUARDIAN_DRILLS_POD: pod });
  assert.deepEqual([drillsPod?.image, drillsPod?.nodeSelector], ['etcdguardian:1', { disk: 'fast' }]);
  assert.equal(controlPlaneSettings({}).drillsPod, undefined);
  for (const wrong of ['{', '{}', '{"image":1}'])
    assert.throws(
      () => controlPlaneSettings({ ETCDGUARDIAN_DRILLS_POD: wrong }),
      (error) => hasCode(error, 'controlplane.settings') && error.message.includes('ETCDGUARDIAN_DRILLS_POD'),
    );
});

test('times in which no drill could begin or end are refused', () => {
  for (const name of ['ETCDGUARDIAN_DRILLS_START_LIMIT', 'ETCDGUARDIAN_DRILLS_DEADLINE']) {
    assert.throws(
      () => controlPlaneSettings({ [name]: '0s' }),
      (error) => hasCode(error, 'controlplane.settings') && error.message.includes(name),
    );
    controlPlaneSettings({ [name]: '1s' });
  }
});

test('a leader that would stop after its Lease has gone is refused', () => {
  assert.throws(
    () => controlPlaneSettings({ ETCDGUARDIAN_RENEW_DEADLINE: '20s' }),
    (error) => hasCode(error, 'controlplane.settings'),
  );
});

test('no variable and no flag is used twice', () => {
  const all = Object.values(CONTROL_PLANE_SETTINGS);
  assert.equal(new Set(all.map(({ env }) => env)).size, all.length);
  assert.equal(new Set(all.map(({ flag }) => flag.split(' ')[0])).size, all.length);
});
