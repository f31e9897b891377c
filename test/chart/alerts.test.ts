import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { promisify } from 'node:util';
import { parseAllDocuments } from 'yaml';
import { type MeasuredAgent, agentMetrics } from '../../agent/metrics.ts';
import { controlPlaneMetrics } from '../../controlplane/metrics.ts';
import { needs, requireTool } from '../harness/tools.ts';

const root = join(import.meta.dirname, '..', '..');
const HELM = needs('helm 3.22.0');

interface Alert {
  readonly alert: string;
  readonly expr: string;
  readonly labels: { readonly severity: string };
  readonly annotations: Readonly<Record<'summary' | 'description' | 'runbook', string>>;
}

interface PrometheusRule {
  readonly kind: string;
  readonly metadata: { readonly labels: Readonly<Record<string, string>> };
  readonly spec: { readonly groups: readonly { readonly rules: readonly Alert[] }[] };
}

/** Undefined where the chart makes none. */
async function ruleOf(...settings: readonly string[]): Promise<PrometheusRule | undefined> {
  const { stdout } = await promisify(execFile)(
    requireTool('helm', '3.22.0'),
    [
      ...['template', 'x', join(root, 'charts', 'etcdguardian'), '--namespace=backups'],
      ...['--kube-version=1.36.3', ...settings.map((one) => `--set=${one}`)],
    ],
    { maxBuffer: 64 * 1024 ** 2 },
  );
  return parseAllDocuments(stdout)
    .map((document) => document.toJS() as PrometheusRule | null)
    .filter((manifest) => manifest !== null)
    .find(({ kind }) => kind === 'PrometheusRule');
}

async function alertsOf(...settings: readonly string[]): Promise<readonly Alert[]> {
  const rule = await ruleOf('monitoring.prometheusRule.enabled=true', ...settings);
  return rule?.spec.groups.flatMap(({ rules }) => rules) ?? [];
}

/** The names that the control plane and agents have. */
async function metricsThatExist(): Promise<Set<string>> {
  const nothing: MeasuredAgent = {
    etcd: { current: () => Promise.reject(new Error('none')) } as unknown as MeasuredAgent['etcd'],
    captures: () => [{ operation: 'x', lagSeconds: 1, gaps: 0, running: true }],
    tasks: () => [],
    certificateEnds: () => Promise.resolve(undefined),
  };
  const agent = await agentMetrics(nothing).read();
  const plane = await controlPlaneMetrics().read();
  const names = [...`${agent.text}\n${plane.text}`.matchAll(/^# TYPE (\S+) /gm)];
  return new Set(names.map(([, name = '']) => name));
}

test(
  'alerts are made only where they are asked for, with the labels that Prometheus wants',
  HELM,
  async () => {
    assert.equal(await ruleOf(), undefined);
    const rule = await ruleOf(
      'monitoring.prometheusRule.enabled=true',
      'monitoring.prometheusRule.labels.release=prometheus',
    );
    assert.equal(rule?.metadata.labels.release, 'prometheus');
  },
);

test('that a restore runs is told though nobody leads: it takes the Lease away', HELM, async () => {
  const runs = (await alertsOf()).find(({ alert }) => alert === 'EtcdGuardianRestoreRuns');
  assert.doesNotMatch(runs?.expr ?? 'leader', /leader/);
});

test(
  'a capture that went over to another agent rings no alarm by what the first one still tells',
  HELM,
  async () => {
    const lags = (await alertsOf()).find(({ alert }) => alert === 'EtcdGuardianCaptureLags');
    assert.match(lags?.expr ?? '', /capture_lag_seconds and etcdguardian_agent_capture_running == 1\)/);
  },
);

test('alerts ask for metrics that there are', HELM, async () => {
  const there = await metricsThatExist();
  const alerts = await alertsOf();
  assert.ok(alerts.length >= 10);
  for (const { alert, expr } of alerts) {
    const asked = [...expr.matchAll(/etcdguardian_[a-z_]+/g)].map(([name]) => name);
    assert.ok(asked.length > 0, alert);
    for (const name of asked) assert.ok(there.has(name), `${alert} asks for ${name}`);
    let open = 0;
    for (const sign of expr) {
      open += Number(sign === '(') - Number(sign === ')');
      assert.ok(open >= 0, `${alert}: ${expr}`);
    }
    assert.equal(open, 0, `${alert}: ${expr}`);
  }
});

test('each alert says what is wrong, what to do, and which page helps', HELM, async () => {
  const operations = await readFile(join(root, 'docs', 'OPERATIONS.md'), 'utf8');
  const pages = [...operations.matchAll(/^## (.*)$/gm)].map(([, page]) => page);
  const told = await readFile(join(root, 'docs', 'controlplane.md'), 'utf8');
  for (const { alert, labels, annotations } of await alertsOf()) {
    assert.ok(annotations.summary !== '' && annotations.description !== '', alert);
    assert.ok(pages.includes(annotations.runbook), `${alert}: there is no page "${annotations.runbook}"`);
    assert.match(labels.severity, /^(?:critical|warning)$/);
    assert.ok(told.includes(`\`${alert}\``), `docs/controlplane.md doesn't tell of ${alert}`);
  }
});

test('hours are as the values say, and what is off rings no alarm', HELM, async () => {
  const named = (alerts: readonly Alert[], name: string): Alert | undefined =>
    alerts.find(({ alert }) => alert === name);
  const alerts = await alertsOf('monitoring.prometheusRule.backupHours=2');
  assert.match(named(alerts, 'EtcdGuardianBackupOld')?.expr ?? '', /> 7200$/);
  assert.match(named(alerts, 'EtcdGuardianDrillOld')?.expr ?? '', /> 1209600$/);
  assert.equal(
    named(alerts, 'EtcdGuardianAgentAway')?.annotations.summary,
    "The agent of node {{ $labels.node }} doesn't answer",
  );
  const fewer = await alertsOf('drills.every=0', 'agent.enabled=false');
  for (const name of ['EtcdGuardianDrillOld', 'EtcdGuardianAgentAway'])
    assert.equal(named(fewer, name), undefined);
  await assert.rejects(alertsOf('monitoring.prometheusRule.backupHours=0'), /schema/);
  await assert.rejects(
    alertsOf('monitoring.prometheus.enabled=false'),
    /needs monitoring\.prometheus\.enabled/,
  );
});
