import assert from 'node:assert/strict';
import { statSync } from 'node:fs';
import { join } from 'node:path';
import { suite, test } from 'node:test';
import { eventually } from '../eventually.ts';
import { startProcess } from '../server-process.ts';
import { cgroupHierarchies } from './cgroups.ts';
import { startNode } from './node.ts';
import { claimPlace } from './node-place.ts';
import { needsCluster } from './node-system.ts';

suite('nodes in namespaces', needsCluster(), () => {
  test('two at once have nothing in common, and nothing of them stays', async () => {
    const one = await startNode();
    const other = await startNode();
    const networks = (node: typeof one): string[] => [node.place.podNetwork, node.place.serviceNetwork];
    assert.deepEqual(
      networks(one).filter((network) => networks(other).includes(network)),
      [],
    );
    assert.equal((await one.exec('hostname')).trim(), one.place.name);
    assert.equal((await other.exec('hostname')).trim(), other.place.name);
    assert.match(await one.exec('ctr', 'version'), /Server:\n {2}Version: +1\.6/);
    for (const node of [one, other]) {
      const before = traces(node.place.name, node.root);
      assert.ok(before.length > 2);
      await node[Symbol.asyncDispose]();
      assert.deepEqual(common(before, traces(node.place.name, node.root)), []);
    }
  });

  test('what a killed test left is removed by the next', async () => {
    const victim = await startProcess(process.execPath, [
      join(import.meta.dirname, 'lonely-node.fixture.ts'),
    ]);
    const [, name = '', root = ''] = (await victim.line(/^node /)).split(' ');
    const before = traces(name, root);
    assert.ok(before.length > 2);
    await victim.kill();
    // Whoever takes a place tidies up first.
    await using place = await claimPlace();
    assert.notEqual(place.name, '');
    await eventually('nothing of it is left', () => common(before, traces(name, root)).length === 0);
  });
});

/** Whatever of a node can be seen from outside; another node may have the same name right after it. */
function traces(name: string, root: string): string[] {
  const hierarchies = cgroupHierarchies();
  if (typeof hierarchies === 'string') throw new Error(hierarchies);
  return [
    ...hierarchies.map(({ own }) => join(own, `etcdguardian-${name}`)),
    `/sys/class/net/etcdguard${name.replace('node-', '')}/`,
    root,
  ].flatMap((path) => {
    const found = statSync(path, { throwIfNoEntry: false });
    return found === undefined ? [] : [`${path} ${found.ino}`];
  });
}

function common(some: readonly string[], others: readonly string[]): string[] {
  return some.filter((one) => others.includes(one));
}
