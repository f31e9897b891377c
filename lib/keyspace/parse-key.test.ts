import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parseKey, resourceName } from './parse-key.ts';

test('keys of kube-apiserver are read', () => {
  const cases: [string, string, string | undefined, string, string][] = [
    ['/registry/pods/default/web-0', 'pods', 'default', 'web-0', 'known'],
    ['/registry/namespaces/kube-system', 'namespaces', undefined, 'kube-system', 'known'],
    ['/registry/services/specs/prod/web', 'services', 'prod', 'web', 'known'],
    ['/registry/services/endpoints/prod/web', 'endpoints', 'prod', 'web', 'known'],
    ['/registry/minions/node-1', 'nodes', undefined, 'node-1', 'known'],
    ['/registry/controllers/prod/old', 'replicationcontrollers', 'prod', 'old', 'known'],
    ['/registry/ingress/prod/web', 'ingresses', 'prod', 'web', 'known'],
    ['/registry/podsecuritypolicy/tight', 'podsecuritypolicies', undefined, 'tight', 'known'],
    ['/registry/clusterroles/system:node', 'clusterroles', undefined, 'system:node', 'known'],
    ['/registry/masterleases/10.0.0.1', 'masterleases', undefined, '10.0.0.1', 'known'],
    ['/registry/ranges/serviceips', 'ranges', undefined, 'serviceips', 'known'],
    [
      '/registry/apiregistration.k8s.io/apiservices/v1.apps',
      'apiservices.apiregistration.k8s.io',
      undefined,
      'v1.apps',
      'known',
    ],
    [
      '/registry/apiextensions.k8s.io/customresourcedefinitions/widgets.example.com',
      'customresourcedefinitions.apiextensions.k8s.io',
      undefined,
      'widgets.example.com',
      'known',
    ],
    ['/registry/example.com/widgets/prod/w1', 'widgets.example.com', 'prod', 'w1', 'shape'],
    ['/registry/example.com/clusterwidgets/w1', 'clusterwidgets.example.com', undefined, 'w1', 'shape'],
    // Named like something of Kubernetes' own, in another group.
    [
      '/registry/serving.knative.dev/services/prod/api',
      'services.serving.knative.dev',
      'prod',
      'api',
      'shape',
    ],
    // Of a version of Kubernetes that is not known here.
    ['/registry/newthings/prod/n1', 'newthings', 'prod', 'n1', 'shape'],
    ['/registry/newclusterthings/n1', 'newclusterthings', undefined, 'n1', 'shape'],
  ];
  for (const [key, resource, namespace, name, scope] of cases) {
    const parsed = parseKey(key);
    assert.ok(parsed, key);
    assert.deepEqual(
      [resourceName(parsed), parsed.namespace, parsed.name, parsed.scope],
      [resource, namespace, name, scope],
      key,
    );
  }
});

test('other keys are left alone', () => {
  for (const key of [
    '',
    'compact_rev_key',
    '/registry',
    '/registry/',
    '/registry/pods',
    '/registry/pods/web-0',
    '/registry/pods/a/b/c',
    '/registry/pods//web-0',
    '/registry/pods/default/',
    '/registry/pods/../secrets',
    '/registry/pods/default/..',
    '/registry/namespaces/a/b',
    '/registry/masterleases/a/b',
    '/registry/services/specs/web',
    '/registry/services/other/prod/web',
    '/registry/example.com/widgets',
    '/registry/example.com/widgets/a/b/c',
    '/registryx/pods/default/web-0',
    '/calico/pods/default/web-0',
  ]) {
    assert.equal(parseKey(key), undefined, key);
  }
});

test('another prefix is read where it is given, and only there', () => {
  assert.equal(parseKey('/kubernetes.io/pods/default/web-0', '/kubernetes.io')?.namespace, 'default');
  assert.equal(parseKey('/registry/pods/default/web-0', '/kubernetes.io'), undefined);
});
