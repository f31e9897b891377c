import assert from 'node:assert/strict';
import { test } from 'node:test';
import { complaintOf } from './drill-etcd.ts';

const INFO = '{"level":"info","msg":"opened backend db"}';
const ERROR = '{"level":"error","msg":"failed to publish","error":"timed out"}';

test("of what etcd wrote, its fatal line is told, else a crash's first line, else its last error, else its last line", () => {
  const fatal = '{"level":"fatal","msg":"discovery failed","error":"member has been removed"}';
  assert.equal(complaintOf([INFO, fatal, ERROR]), 'discovery failed: member has been removed');
  const crash = ['runtime stack:', 'runtime.throw({0x130a9ff?, 0xa?})', '\truntime/panic.go:1229 +0x48'];
  assert.equal(complaintOf([INFO, 'fatal error: out of memory', ...crash]), 'fatal error: out of memory');
  assert.equal(complaintOf([ERROR, 'panic: page 7 is not a leaf', ...crash]), 'panic: page 7 is not a leaf');
  assert.equal(complaintOf([ERROR, INFO]), 'failed to publish: timed out');
  assert.equal(complaintOf([INFO]), INFO);
  assert.equal(complaintOf([]), undefined);
});
