import assert from 'node:assert/strict';
import { test } from 'node:test';
import { GuardianError } from '../lib/guardian-error.ts';
import { mayBeElsewhere } from './restore-own.ts';

test('an agent that goes down, or has no etcd, is passed over for the next one; what is wrong everywhere is not', () => {
  const passedOver = [
    ...['agent.unreachable', 'agent.connection-lost', 'agent.deadline', 'agent.stopping', 'agent.state'],
    ...['agent.no-etcd', 'agent.etcd-config', 'etcd.unreachable', 'etcd.no-leader'],
  ];
  for (const code of passedOver) assert.equal(mayBeElsewhere(new GuardianError(code, 'x')), true, code);
  for (const code of ['agent.too-many-keys', 'agent.denied', 'agent.protocol'])
    assert.equal(mayBeElsewhere(new GuardianError(code, 'x')), false, code);
  assert.equal(mayBeElsewhere(new Error('x')), false);
});
