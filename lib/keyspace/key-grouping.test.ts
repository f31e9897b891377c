import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { test } from 'node:test';
import { keyGrouping } from './key-grouping.ts';

test('keys of one resource and namespace are one group, with a name that tells both', () => {
  const cases: [string, string[]][] = [
    ['pods default', ['/registry/pods/default/a', '/registry/pods/default/b']],
    ['pods prod', ['/registry/pods/prod/a']],
    ['services prod', ['/registry/services/specs/prod/web']],
    ['endpoints prod', ['/registry/services/endpoints/prod/web']],
    ['nodes', ['/registry/minions/n1', '/registry/minions/n2']],
    ['namespaces', ['/registry/namespaces/default']],
    ['widgets.example.com prod', ['/registry/example.com/widgets/prod/w']],
    ['clusterwidgets.example.com', ['/registry/example.com/clusterwidgets/w']],
    ['routes prod', ['/openshift.io/routes/prod/r']],
    ['a/b/c/d', ['/registry/a/b/c/d/e']],
    ['/calico', ['/calico/ipam/v2/x', '/calico/y']],
    ['app', ['app/settings/x']],
    ['(other)', ['compact_rev_key', 'x', '/x', '/', '', '/registry/', '/registry/x']],
  ];
  const grouping = keyGrouping();
  const groups = cases.map(([name, keys]) => {
    const numbers = new Set(keys.map((key) => groupOf(grouping, key)));
    assert.equal(numbers.size, 1, name);
    const [group = -1] = numbers;
    assert.equal(grouping.nameOf(group), name);
    return group;
  });
  assert.equal(new Set(groups).size, cases.length);
  assert.ok(groups.every((group) => group < cases.length));
  for (const [index, [, keys]] of cases.entries()) {
    for (const key of keys) assert.equal(groupOf(grouping, key), groups[index], key);
  }
});

test('only the bytes of the key count, wherever they lie', () => {
  const grouping = keyGrouping();
  const key = '/registry/pods/default/a';
  const around = Buffer.from(`/xx/${key}/yy/`);
  const group = grouping.groupOf(around, 4, 4 + key.length);
  assert.equal(grouping.nameOf(group), 'pods default');
  assert.equal(groupOf(grouping, key), group);
});

test('beyond 65,535 groups everything new is other, and what was seen before keeps its group', () => {
  const grouping = keyGrouping();
  const first = groupOf(grouping, '/registry/pods/ns-0/p');
  for (let i = 1; i < 65_535; i++) groupOf(grouping, `/registry/pods/ns-${i}/p`);
  assert.equal(groupOf(grouping, '/registry/pods/one-too-many/p'), 0);
  assert.equal(groupOf(grouping, '/registry/pods/ns-0/p'), first);
  assert.equal(grouping.nameOf(groupOf(grouping, '/registry/pods/ns-65534/p')), 'pods ns-65534');
});

test('hostile keys neither break it nor fill memory', () => {
  const grouping = keyGrouping();
  assert.equal(groupOf(grouping, `/registry/${'x'.repeat(1_000_000)}/y`), 0);
  const spaced = groupOf(grouping, '/registry/pods/a b\n/p');
  assert.equal(grouping.nameOf(spaced), 'pods a?b?');
  for (let i = 0; i < 1000; i++) {
    const key = Buffer.concat([Buffer.from('/registry/'), randomBytes(i % 50)]);
    assert.equal(typeof grouping.nameOf(grouping.groupOf(key, 0, key.length)), 'string');
  }
  assert.equal(grouping.nameOf(99_999), '(other)');
});

function groupOf(grouping: ReturnType<typeof keyGrouping>, key: string): number {
  const bytes = Buffer.from(key);
  return grouping.groupOf(bytes, 0, bytes.length);
}
