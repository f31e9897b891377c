import assert from 'node:assert/strict';
import { join } from 'node:path';
import { test } from 'node:test';
import { KUBE_PROGRAMS } from '../harness/kube-apiserver.ts';
import { CONTROLLER_MANAGER } from '../harness/kube-controller-manager.ts';
import { runProgram } from '../harness/run-program.ts';
import { needs } from '../harness/tools.ts';

test(
  'the demo in a cluster tells what README.md shows, and ends by itself',
  needs(...KUBE_PROGRAMS, CONTROLLER_MANAGER, 'versitygw'),
  async () => {
    const told = await runProgram(process.execPath, [join(import.meta.dirname, 'demo-cluster.ts')]);
    const inOrder = [
      /\$ kubectl etcdguardian status\n[^—]*leader: {4}etcdguardian-controlplane-demo[^—]*agents: {4}demo-node/,
      /\$ kubectl get etcdbackup\/first .*--watch\n[^$]*first +Full +Completed/,
      /proof: +a live member has the same hash/,
      /Forbidden.*needs verb backup on etcdclusters\.etcdguardian\.io/,
      /backup team-a\/shop: Completed\n[^$]*asked for by: alice/,
      /namespace "shop" deleted/,
      /restore team-a\/shop-is-back: Completed/,
      /secret\/db-password/,
      /etcdbackupschedule\.etcdguardian\.io\/nightly created/,
      /ok {3}last good backup +etcd-guardian-system\/first, \dm old, proven by etcd itself/,
      /nothing wrong/,
    ];
    let rest = told;
    for (const line of inOrder) {
      const at = rest.search(line);
      assert.ok(at >= 0, `${String(line)} is not told, or not in its place:\n${told}`);
      rest = rest.slice(at);
    }
  },
);
