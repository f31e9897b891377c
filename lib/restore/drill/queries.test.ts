import assert from 'node:assert/strict';
import { test } from 'node:test';
import { hasCode } from '../../guardian-error.ts';
import { parseQueries, queryText } from './queries.ts';

test('each kind of query is read, with what it asks when nothing is said', () => {
  const asked = parseQueries(
    {
      queries: [
        { key: '/registry/namespaces/shop' },
        { prefix: '/registry/pods/shop/' },
        { resource: 'deployments.apps', namespace: 'shop', atLeast: 3 },
        { resource: 'configmaps', namespace: 'shop', object: 'web', field: 'data["a.conf"]', equals: 'x' },
        {
          title: 'the shop is open',
          key: '/registry/example.com/shops/main',
          field: 'spec.open',
          equals: true,
        },
      ],
    },
    'q.yaml',
  );
  assert.deepEqual(asked.map(queryText), [
    'key /registry/namespaces/shop is there',
    'at least 1 keys below /registry/pods/shop/',
    'at least 3 deployments.apps in shop',
    'configmaps web in shop has data["a.conf"] = "x"',
    'the shop is open',
  ]);
});

test('what is no query is refused, and the message says which one and why', () => {
  const wrong: (readonly [unknown, RegExp])[] = [
    [null, /q\.yaml: /],
    [{ queries: [] }, /queries/],
    [{ queries: [{ key: 'a' }, { keys: 'b' }] }, /query 2 has none of key, prefix, object, resource/],
    [{ queries: [{ key: 'a', equals: 1 }] }, /query 1: .*equals needs field/],
    [{ queries: [{ key: 'a', atLeast: 1 }] }, /query 1: .*atLeast/],
    [{ queries: [{ key: 'a', field: 'b..c' }] }, /query 1: .*field/],
    [{ queries: [{ resource: 'pods', atLeast: -1 }] }, /query 1: .*atLeast/],
    [{ queries: [{ resource: 'pods', namespace: 'a/b' }] }, /query 1: .*namespace/],
  ];
  for (const [content, said] of wrong) {
    assert.throws(
      () => parseQueries(content, 'q.yaml'),
      (error) => hasCode(error, 'drill.queries') && said.test(error.message),
      JSON.stringify(content),
    );
  }
});
