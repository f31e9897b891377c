import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { parse } from 'yaml';
import type { EtcdBackup } from '../../lib/kubernetes/api/etcd-backup.ts';
import type { EtcdBackupSchedule } from '../../lib/kubernetes/api/etcd-backup-schedule.ts';
import { readResource, type Schema } from '../../tools/api/resource.ts';

const root = join(import.meta.dirname, '..', '..');
const KINDS = ['etcdbackups', 'etcdbackupschedules', 'etcdrestores'];

test('types and shared schemas are as `make generate` writes them', () => {
  const run = spawnSync(process.execPath, [join(root, 'tools', 'generate-api.ts'), '--check'], {
    encoding: 'utf8',
  });
  assert.equal(run.status, 0, run.stderr);
});

for (const plural of KINDS) {
  const text = readFileSync(join(root, 'manifests', 'crds', `${plural}.yaml`), 'utf8');
  const { schema } = readResource(parse(text));

  test(`every field of ${plural} is described, in a sentence`, () => {
    const undescribed = [...fieldsOf(schema)]
      .filter(([path]) => path !== 'metadata')
      .filter(([, field]) => !/[.)]$/.test(field.description ?? ''))
      .map(([path]) => path);
    assert.deepEqual(undescribed, []);
  });

  test(`every text, list and map of ${plural} has a limit, so that rules have a price and etcd a bound`, () => {
    const parsed = parse(text) as unknown;
    assert.deepEqual([...unbounded(parsed, '')], []);
  });

  // The first API servers with rules don't know later functions: https://kubernetes.io/docs/reference/using-api/cel/
  test(`the rules of ${plural} use nothing that came after Kubernetes 1.25`, () => {
    const rules = [...rulesOf(parse(text))];
    assert.ok(rules.length > 0);
    for (const rule of rules)
      assert.doesNotMatch(rule, /\?\.|optional|quantity\(|\bip\(|cidr\(|format\.|semver|\.sort\(|isURL/);
  });
}

test('the types take what the definitions take', () => {
  const template: EtcdBackupSchedule['spec']['backupTemplate']['spec'] = {
    backupMode: 'Full',
    storageLocation: { provider: 'GCS', bucket: 'b' },
    encryption: { enabled: false },
    validation: { enabled: true, consistencyCheck: true },
    veleroIntegration: { enabled: false },
    deletionPolicy: 'Retain',
  };
  const run: EtcdBackup = {
    apiVersion: 'etcdguardian.io/v1alpha1',
    kind: 'EtcdBackup',
    metadata: { name: 'nightly-20261122' },
    spec: { ...template, requestedBy: { username: 'alice' } },
  };
  assert.equal(run.spec.requestedBy?.username, 'alice');
});

/** Every property below a schema, by its path. */
function* fieldsOf(schema: Schema, path = ''): Generator<readonly [path: string, field: Schema]> {
  for (const [name, field] of Object.entries(schema.properties ?? {})) {
    const below = path === '' ? name : `${path}.${name}`;
    yield [below, field];
    yield* fieldsOf(field, below);
    if (field.items !== undefined) yield* fieldsOf(field.items, `${below}[]`);
  }
}

function* rulesOf(node: unknown): Generator<string> {
  if (typeof node !== 'object' || node === null) return;
  if ('rule' in node && typeof node.rule === 'string') yield node.rule;
  for (const child of Object.values(node)) yield* rulesOf(child);
}

/** Paths of schemas that may be of any size. Times and values of an enum are bounded by themselves. */
function* unbounded(node: unknown, path: string): Generator<string> {
  if (typeof node !== 'object' || node === null) return;
  const {
    type,
    enum: values,
    format,
    maxLength,
    maxItems,
    maxProperties,
    additionalProperties,
  } = node as Record<string, unknown>;
  const isNamed = /\.(apiVersion|kind)$/.test(path) || !path.includes('openAPIV3Schema');
  if (
    type === 'string' &&
    values === undefined &&
    format === undefined &&
    maxLength === undefined &&
    !isNamed
  )
    yield path;
  if (type === 'array' && maxItems === undefined) yield path;
  if (additionalProperties !== undefined && maxProperties === undefined) yield path;
  for (const [key, child] of Object.entries(node)) yield* unbounded(child, `${path}.${key}`);
}
