import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { LastDrill } from '../../lib/kubernetes/api/etcd-backup-status.ts';
import { backupNamed } from '../drill/drill-backups.fixture.ts';
import { encryptionAtRestLines, newestReadingDrill } from './encryption-at-rest.ts';

const KEYS = [
  { provider: 'kms-v2', key: 'vault' },
  { provider: 'aescbc', key: 'key1' },
];
const READ: LastDrill = {
  ...{ result: 'Passed', time: '2026-11-02T00:00:00Z', kubeApiserverVersion: '1.36.3' },
};

test('data that is not encrypted at rest needs no line', () => {
  assert.deepEqual(encryptionAtRestLines([], undefined), []);
  assert.deepEqual(encryptionAtRestLines(undefined, undefined), []);
});

test('the keys are named, and that nobody has shown that they are there', () => {
  const [line] = encryptionAtRestLines(KEYS, undefined);
  assert.match(line ?? '', /^warning: .*must have kms-v2 vault, aescbc key1; .*no drill .* has shown/);
});

test('a drill that read it is named', () => {
  const drill = newestReadingDrill([backupNamed('a', { drill: READ })]);
  const [line] = encryptionAtRestLines(KEYS, drill);
  assert.match(
    line ?? '',
    /^the restored .*kms-v2 vault, aescbc key1; a drill of a read it .*1\.36\.3 on 2026-/,
  );
});

test('only drills that passed with an API server count, and of these the newest', () => {
  const without: LastDrill = { result: 'Passed', time: '2026-11-05T00:00:00Z' };
  const others = [
    backupNamed('none'),
    backupNamed('without', { drill: without }),
    backupNamed('failed', { drill: { ...READ, result: 'Failed', time: '2026-11-06T00:00:00Z' } }),
    backupNamed('unknown', { drill: { ...READ, result: 'Unknown', time: '2026-11-07T00:00:00Z' } }),
  ];
  assert.equal(newestReadingDrill(others), undefined);
  const older = backupNamed('older', { drill: { ...READ, time: '2026-11-01T00:00:00Z' } });
  const read = [older, backupNamed('newer', { drill: READ }), ...others];
  assert.equal(newestReadingDrill(read)?.backup, 'newer');
});
