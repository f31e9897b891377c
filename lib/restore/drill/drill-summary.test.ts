import assert from 'node:assert/strict';
import { test } from 'node:test';
import { GuardianError } from '../../guardian-error.ts';
import type { DrillReport } from './drill-report.ts';
import {
  formatDrillSummary,
  parseDrillSummary,
  SUMMARY_BYTES,
  summaryOf,
  summaryOfError,
} from './drill-summary.ts';

const passed: DrillReport = {
  ...{ result: 'passed', startedAt: new Date(0), point: 'backup x', revision: 2n ** 60n, databaseBytes: 1 },
  etcd: { program: '/programs/etcd', version: '3.6.16' },
  apiServer: { program: '/programs/kube-apiserver', version: '1.36.3' },
  ...{ recoverySeconds: 1.25, phases: {}, checks: [{ name: 'a', passed: true, detail: 'b' }] },
  ...{ problem: undefined, hashKV: 7, keys: 1_234, resources: [], listed: undefined },
  ...{ encryptionAtRest: [], warnings: ['one', 'two'] },
};

test('what passed is told with its time and versions', () => {
  assert.deepEqual(parseDrillSummary(formatDrillSummary(summaryOf(passed))), {
    ...{ result: 'passed', revision: '1152921504606846976', recoverySeconds: 1.25, keys: 1_234 },
    ...{ etcdVersion: '3.6.16', kubeApiserverVersion: '1.36.3' },
    ...{ failedChecks: [], failed: 0, warnings: 2 },
  });
});

test('of what failed the checks that do not hold are told, cut to what a kubelet keeps', () => {
  const name = 'query: \u{1F5DD}"\\'.repeat(40);
  const checks = Array.from({ length: 300 }, () => ({ name, passed: false, detail: '\u0001'.repeat(9_000) }));
  const problem = {
    code: 'etcd.corrupt-alarm',
    message: 'ü'.repeat(9_000),
    hint: 'h',
    phase: 'checks' as const,
  };
  const text = formatDrillSummary(summaryOf({ ...passed, result: 'failed', checks, problem }));
  assert.ok(Buffer.byteLength(text) <= SUMMARY_BYTES, String(Buffer.byteLength(text)));
  const { result, failed, failedChecks, problem: told } = parseDrillSummary(text);
  assert.deepEqual([result, failed, told?.code, told?.hint], ['failed', 300, 'etcd.corrupt-alarm', 'h']);
  assert.ok(failedChecks.length > 0);
  assert.match(told?.message ?? '', /^ü{30,}…$/);
});

test('what was seen not to hold stays so, whatever ends the drill afterwards', () => {
  const checks = [{ name: 'every key is there', passed: false, detail: 'one is not' }];
  const problem = { code: 'drill.killed', message: 'm', hint: undefined, phase: 'checks' as const };
  assert.equal(summaryOf({ ...passed, result: 'failed', checks, problem }).result, 'failed');
});

for (const [code, result] of [
  ['restore.hash-mismatch', 'failed'],
  ['repository.not-found', 'failed'],
  ['encryption.key-missing', 'failed'],
  ['store.unreachable', 'unknown'],
  ['disk.full', 'unknown'],
  ['restore.no-space', 'unknown'],
  ['drill.killed', 'unknown'],
  ['drill.etcd-silent', 'unknown'],
  ['drill.no-encryption-config', 'unknown'],
] as const) {
  test(`a drill that ${code} ended is ${result}`, () => {
    const told = summaryOfError(new GuardianError(code, 'why', { hint: 'do' }));
    assert.deepEqual([told.result, told.problem], [result, { code, message: 'why', hint: 'do' }]);
    assert.equal(parseDrillSummary(formatDrillSummary(told)).result, result);
  });
}

test('an error that nobody foresaw is no passed drill', () => {
  const told = summaryOfError(new TypeError('undefined is no function'));
  assert.deepEqual([told.result, told.problem?.code], ['failed', 'drill.failed']);
});

test('what no drill wrote is refused', () => {
  for (const text of [
    '',
    'Error: cannot start',
    '{"result":"PASSED"}',
    '{"result":"passed","revision":"-1"}',
  ])
    assert.throws(() => parseDrillSummary(text), { code: 'drill.summary' });
});
