import assert from 'node:assert/strict';
import { test } from 'node:test';
import { podIn, podOf, processesInPods, startOf } from './pod-processes.ts';

const STATIC = 'd4f5bd2e8f3a1b0c9d8e7f6a5b4c3d2e';
const OTHER = '0c0b0a09-1234-4321-abcd-0123456789ab';

for (const [who, text, uid] of [
  ['cgroupfs, v1', `5:devices:/kubepods/burstable/pod${STATIC}/8f0e\n1:name=systemd:/x\n`, STATIC],
  ['cgroupfs, v2', `0::/kubepods/besteffort/pod${OTHER}/8f0e\n`, OTHER],
  [
    'systemd, containerd',
    `0::/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod${OTHER.replaceAll('-', '_')}.slice/cri-containerd-8f0e.scope\n`,
    OTHER,
  ],
  [
    'systemd, guaranteed',
    `0::/kubepods.slice/kubepods-pod${STATIC}.slice/crio-8f0e.scope/container\n`,
    STATIC,
  ],
  ['from within another pod', `0::/../../pod${STATIC}/8f0e\n`, STATIC],
  ['a node in a pod', `0::/kubepods/pod${OTHER}/a/node/kubepods/burstable/pod${STATIC}/b\n`, STATIC],
  ['a unit', '0::/system.slice/etcd.service\n', undefined],
  ['a folder that is named alike', '0::/podman/pod1234/x\n', undefined],
  ['nothing', '', undefined],
] as const)
  test(`the pod of a process by its cgroup: ${who}`, () => {
    assert.equal(podIn(text), uid);
  });

test('a process is told from others by when it was started, and one that is none has no pod', async () => {
  assert.match((await startOf(process.pid)) ?? '', /^\d+$/);
  const none = 2 ** 22 + 1;
  assert.equal(await startOf(none), undefined);
  assert.equal(await podOf(none), undefined);
  assert.deepEqual(await processesInPods(new Set()), []);
});
