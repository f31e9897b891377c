import assert from 'node:assert/strict';
import { suite, test } from 'node:test';
import { judgePhases, type JudgedInstallation } from './judge-permissions.ts';
import { covers, type Permission, type Use } from './permission.ts';

const account = 'system/operator';
const permission = (given: Partial<Permission>): Permission => ({
  ...{ account, verb: 'get', group: '', resource: 'secrets', name: undefined, namespace: undefined },
  ...given,
});
const use = (given: Partial<Use>): Use => permission({ namespace: 'team-a', name: 'one', ...given });
const INSTALLATION: JudgedInstallation = {
  ownNamespace: 'system',
  clusterWide: (group, resource) => group === '' && resource === 'namespaces',
};
const judge = (permissions: readonly Permission[], uses: readonly Use[]): string[] =>
  judgePhases([{ permissions, uses }], INSTALLATION);

suite('what a permission covers', () => {
  const cases: readonly (readonly [string, Partial<Permission>, Partial<Use>, boolean])[] = [
    ['the very thing', { name: 'one', namespace: 'team-a' }, {}, true],
    ['any name, anywhere', {}, {}, true],
    ['another name', { name: 'two' }, {}, false],
    ['a name where none is given', { name: 'one' }, { name: undefined }, false],
    ['another namespace', { namespace: 'team-b' }, {}, false],
    ['one namespace where all are listed', { namespace: 'team-a' }, { namespace: undefined }, false],
    ['another verb', { verb: 'list' }, {}, false],
    ['every verb', { verb: '*' }, {}, true],
    ['another group', { group: 'apps' }, {}, false],
    ['every group', { group: '*' }, {}, true],
    ['another account', { account: 'system/other' }, {}, false],
    ['the resource for its subresource', {}, { resource: 'secrets/status' }, false],
    ['every resource for a subresource', { resource: '*' }, { resource: 'secrets/status' }, true],
    ['a subresource of every resource', { resource: '*/status' }, { resource: 'secrets/status' }, true],
    ['a subresource of every resource for the resource', { resource: '*/status' }, {}, false],
  ];
  for (const [what, granted, asked, expected] of cases) {
    test(`${what}: ${expected ? 'yes' : 'no'}`, () => {
      assert.equal(covers(permission(granted), use(asked)), expected);
    });
  }
});

suite('which permissions are not needed', () => {
  test('none, where each was used', () => {
    const granted = [permission({}), permission({ verb: 'list' })];
    assert.deepEqual(judge(granted, [use({}), use({ verb: 'list', name: undefined })]), []);
  });

  test('one that nobody used', () => {
    assert.deepEqual(judge([permission({}), permission({ verb: 'delete' })], [use({})]), [
      'operator: delete secrets everywhere: never used',
    ]);
  });

  test('a name that nobody used, among others', () => {
    const granted = ['one', 'two'].map((name) => permission({ name, namespace: 'team-a' }));
    assert.deepEqual(judge(granted, [use({})]), ['operator: get secrets two in team-a: never used']);
  });

  test('one beside another that covers the same', () => {
    const granted = [permission({}), permission({ name: 'one' })];
    assert.deepEqual(judge(granted, [use({}), use({ name: 'two' })]), [
      'operator: get secrets one everywhere: what it was used for is allowed without it',
    ]);
  });

  test('one for all namespaces that was used in our own only', () => {
    const granted = [permission({ resource: 'pods/log' })];
    assert.deepEqual(judge(granted, [use({ resource: 'pods/log', namespace: 'system' })]), [
      'operator: get pods/log everywhere: was used in system only',
    ]);
    assert.deepEqual(judge(granted, [use({ resource: 'pods/log' })]), []);
  });

  test('what belongs to no namespace is everywhere', () => {
    const granted = [permission({ resource: 'namespaces' })];
    assert.deepEqual(judge(granted, [use({ resource: 'namespaces', namespace: undefined })]), []);
  });

  test('each is judged beside those that were granted with it, and once is enough', () => {
    const [narrow, wide] = [permission({ name: 'one' }), permission({})];
    const before = { permissions: [narrow], uses: [use({})] };
    const after = { permissions: [narrow, wide], uses: [use({}), use({ name: 'two' })] };
    assert.deepEqual(judgePhases([before, after], INSTALLATION), []);
    assert.deepEqual(judgePhases([after], INSTALLATION).length, 1);
    assert.deepEqual(
      judgePhases(
        [
          { ...before, uses: [] },
          { ...before, uses: [] },
        ],
        INSTALLATION,
      ),
      ['operator: get secrets one everywhere: never used'],
    );
  });
});
