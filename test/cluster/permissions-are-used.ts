import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { test } from 'node:test';
import { z } from 'zod';
import type { Cluster } from '../harness/cluster/start-cluster.ts';
import { chartHooks, SYSTEM_NAMESPACE } from './helm.ts';
import { type AuditedRequests, auditedRequests } from './rbac/audited-requests.ts';
import { auditPolicy } from './rbac/audit-policy.ts';
import { grantedPermissions, rbacObjects } from './rbac/granted-permissions.ts';
import { judgePhases, type Phase } from './rbac/judge-permissions.ts';
import type { Story } from './story.ts';

/** What the API server has to write down for the proof. */
export const STORY_AUDIT = auditPolicy(
  ['controlplane', 'webhook', 'agent', 'doctor', 'drill'].map((component) => ({
    ...{ namespace: SYSTEM_NAMESPACE, name: `etcdguardian-${component}` },
  })),
);

/** Used on days that the story doesn't have: the named test has them. */
const RARE = [
  {
    permission: 'etcdguardian-controlplane: delete jobs.batch in etcd-guardian-system',
    file: 'controlplane/drill/drill-controller.server.test.ts',
    test: 'a Job that a restored etcd brings back, and a stranger in the way, are not taken for today’s',
  },
  {
    permission: 'etcdguardian-controlplane: create etcdrestores.etcdguardian.io in etcd-guardian-system',
    file: 'controlplane/restore/restore-controller.server.test.ts',
    test: 'brings objects back, tells watchers, and how it went though the restored etcd never heard of it',
  },
];

/** Notes what the chart's service accounts may do from now on; with other values it is something else. */
export async function noteGrants({ cluster, grants }: Story): Promise<void> {
  const from = grants.length === 0 ? 0 : (await cluster.auditLog()).length;
  const kinds = 'clusterroles,clusterrolebindings,roles,rolebindings';
  const list = await cluster.kubectl('get', kinds, '--all-namespaces', '--output=json');
  const objects = [...rbacObjects(JSON.parse(list)), ...rbacObjects({ items: await chartHooks(cluster) })];
  const permissions = grantedPermissions(objects, SYSTEM_NAMESPACE);
  grants.push({ from, permissions });
}

/** From here on there is no installation that could be judged. */
export function noteNoGrants({ grants }: Story, log: string): void {
  grants.push({ from: log.length, permissions: [] });
}

/** An API server that has just started, as behind a restore, refuses everybody until it has read its rules. */
const NO_RULES_YET = '"system:basic-user" not found';

/** At the end of the story: what the chart granted is what was needed, no more and no less. */
export function permissionsAreUsed(told: () => Story): void {
  test('our service accounts were refused nothing', async () => {
    const denied = phasesOf(told(), await told().cluster.auditLog())
      .filter(({ permissions }) => permissions.length > 0)
      .flatMap((phase) => phase.denied);
    // The doctor looks as far as it may, and Secrets are none of its business.
    const meant = /^[^:]*etcdguardian-doctor: get \S*\/secrets\//;
    const isOurs = (line: string): boolean => !meant.test(line) && !line.includes(NO_RULES_YET);
    assert.deepEqual(summary(denied.filter(isOurs)), []);
  });

  test('every permission of theirs was used', async () => {
    const { cluster } = told();
    const phases = phasesOf(told(), await cluster.auditLog());
    const wide = await clusterWide(cluster);
    const installation = {
      ownNamespace: SYSTEM_NAMESPACE,
      // Whom to be is asked for without a namespace, but for service accounts.
      clusterWide: (group: string, resource: string) =>
        wide.has(`${group}/${resource}`) || ['users', 'groups', '*'].includes(resource),
    };
    const rare = RARE.map(({ permission }) => `${permission}: never used`);
    assert.deepEqual(judgePhases(phases, installation), rare);
    for (const { file, test: name } of RARE)
      assert.ok((await readFile(file, 'utf8')).includes(`'${name}'`), `${file} has no test '${name}'`);
  });

  test('agents and drills never asked the API server for anything', async () => {
    const log = await told().cluster.auditLog();
    assert.doesNotMatch(log, /"user":\{"username":"system:serviceaccount:[^"]*:etcdguardian-(agent|drill)"/);
  });
}

function phasesOf({ grants }: Story, log: string): (Phase & AuditedRequests)[] {
  return grants.map(({ from, permissions }, index) => {
    const part = log.slice(from, grants[index + 1]?.from);
    return { permissions, ...auditedRequests(part, SYSTEM_NAMESPACE) };
  });
}

/** The same line once, with how often. */
function summary(lines: readonly string[]): string[] {
  const counts = new Map<string, number>();
  for (const line of lines) counts.set(line, (counts.get(line) ?? 0) + 1);
  return [...counts].map(([line, count]) => `${count} × ${line}`);
}

const Kinds = z.object({
  groups: z.array(z.object({ preferredVersion: z.object({ groupVersion: z.string() }) })),
});
const Resources = z.object({ resources: z.array(z.object({ name: z.string(), namespaced: z.boolean() })) });

/** `GROUP/RESOURCE` of all that belongs to no namespace. */
async function clusterWide(cluster: Cluster): Promise<Set<string>> {
  const raw = async (path: string): Promise<unknown> =>
    JSON.parse(await cluster.kubectl('get', `--raw=${path}`)) as unknown;
  const { groups } = Kinds.parse(await raw('/apis'));
  const versions = groups.map(({ preferredVersion }) => `/apis/${preferredVersion.groupVersion}`);
  const found = await Promise.all(
    ['/api/v1', ...versions].map(async (path) => {
      const [, , group = ''] = path.startsWith('/apis') ? path.split('/') : [];
      const { resources } = Resources.parse(await raw(path));
      return resources.flatMap(({ name, namespaced }) => (namespaced ? [] : [`${group}/${name}`]));
    }),
  );
  return new Set(found.flat());
}
