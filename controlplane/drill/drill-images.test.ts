import assert from 'node:assert/strict';
import { test } from 'node:test';
import { drillImages, type ProgramPod, type SaidImages } from './drill-images.ts';

const nothing: SaidImages = { guardian: 'ours:1', etcd: '', kubeApiserver: '', withApiServer: true };

function pod(component: string, image: string, createdAt = '2026-11-01T00:00:00Z'): ProgramPod {
  return {
    metadata: { name: `${component}-${image}`, creationTimestamp: createdAt, labels: { component } },
    spec: { containers: [{ name: component, image }] },
  };
}

test('the programs are those of the static pods', () => {
  const pods = [pod('etcd', 'etcd:3.6'), pod('kube-apiserver', 'api:1.36')];
  assert.deepEqual(drillImages(pods, nothing), {
    guardian: 'ours:1',
    etcd: 'etcd:3.6',
    kubeApiserver: 'api:1.36',
  });
});

test('of several versions the one of most pods is taken, of as many the newest', () => {
  const old = [pod('etcd', 'etcd:3.5'), pod('etcd', 'etcd:3.5')];
  const upgraded = pod('etcd', 'etcd:3.6', '2026-11-02T00:00:00Z');
  assert.equal(drillImages([...old, upgraded], nothing).etcd, 'etcd:3.5');
  assert.equal(drillImages([...old.slice(1), upgraded], nothing).etcd, 'etcd:3.6');
});

test('beside a sidecar the container of the program is found by its name or its command', () => {
  const sidecar = { name: 'metrics', image: 'metrics:1' };
  const containers = [sidecar, { name: 'server', image: 'etcd:3.6', command: ['/usr/local/bin/etcd'] }];
  const labels = { component: 'etcd' };
  const found = drillImages([{ metadata: { name: 'x', labels }, spec: { containers } }], nothing);
  assert.equal(found.etcd, 'etcd:3.6');
});

test('settings win over pods', () => {
  const pods = [pod('etcd', 'etcd:3.6'), pod('kube-apiserver', 'api:1.36')];
  const said = { ...nothing, etcd: 'mirror/etcd:3.6', kubeApiserver: 'mirror/api:1.36' };
  assert.deepEqual(drillImages(pods, said), {
    ...{ guardian: 'ours:1', etcd: 'mirror/etcd:3.6', kubeApiserver: 'mirror/api:1.36' },
  });
  assert.equal(drillImages(pods, { ...said, withApiServer: false }).kubeApiserver, undefined);
});

test('without a known API server there is a drill, without a known etcd there is none', () => {
  assert.equal(drillImages([pod('etcd', 'etcd:3.6')], nothing).kubeApiserver, undefined);
  assert.throws(() => drillImages([pod('kube-apiserver', 'api:1.36')], nothing), {
    code: 'drill.no-image',
    hint: /drills\.etcdImage/,
  });
});
