import assert from 'node:assert/strict';
import { test } from 'node:test';
import { auditLog, type AuditRecord } from './audit-log.ts';
import { LogLines } from './log-lines.ts';

const NOW = new Date('2026-11-22T08:00:00Z');

function lineOf(record: AuditRecord, format: 'json' | 'text' = 'json'): string {
  const written: string[] = [];
  auditLog(new LogLines({ write: (text: string) => written.push(text) }, () => NOW, format))(record);
  assert.equal(written.length, 1);
  return written[0] ?? '';
}

const DENIED: AuditRecord = {
  who: { username: 'tina', groups: ['team-a', 'system:authenticated'] },
  what: 'backup',
  resource: { kind: 'EtcdBackup', namespace: 'team-a', name: 'nightly', uid: 'u-1' },
  scope: ['team-b'],
  result: 'denied',
  reason: 'admission.forbidden',
  operation: 'u-1',
};

test('a record is one line of JSON with everything that was decided', () => {
  assert.deepEqual(JSON.parse(lineOf(DENIED)), {
    ...{ time: '2026-11-22T08:00:00.000Z', level: 'warning', event: 'audit', audit: true },
    message: 'tina: backup of EtcdBackup team-a/nightly denied (admission.forbidden)',
    who: { username: 'tina', groups: ['team-a', 'system:authenticated'] },
    ...{ what: 'backup', result: 'denied', reason: 'admission.forbidden', operation: 'u-1' },
    resource: { kind: 'EtcdBackup', namespace: 'team-a', name: 'nightly', uid: 'u-1' },
    scope: ['team-b'],
  });
});

test('names made to break a log stay in one line of bounded length', () => {
  const nasty = `tina\n{"audit":true,"result":"allowed"}\u001b[2J${'x'.repeat(10_000)}`;
  const groups = Array.from({ length: 500 }, (_, index) => `group-${index}`);
  for (const format of ['json', 'text'] as const) {
    const line = lineOf({ ...DENIED, who: { username: nasty, groups } }, format);
    assert.equal(line.trimEnd().split('\n').length, 1);
    assert.ok(!line.includes('\u001b'));
    assert.ok(line.length < 8_000, `${line.length} characters`);
  }
});

test('what this program did on its own says so', () => {
  const line = JSON.parse(lineOf({ ...DENIED, who: undefined, result: 'succeeded' })) as object;
  assert.ok('who' in line && line.who === 'etcdguardian');
  assert.ok('level' in line && line.level === 'info');
});
