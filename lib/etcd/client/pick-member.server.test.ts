import assert from 'node:assert/strict';
import { test } from 'node:test';
import { startEtcdCluster } from '../../../test/harness/etcd-cluster.ts';
import type { Etcd } from '../../../test/harness/etcd.ts';
import { eventually } from '../../../test/harness/eventually.ts';
import { needs } from '../../../test/harness/tools.ts';
import { hasCode } from '../../guardian-error.ts';
import { connectEtcd } from './connect-etcd.ts';
import { EndpointConnection } from './endpoint-connection.ts';
import { parseEndpoint } from './endpoint.ts';
import type { EtcdClient } from './etcd-client.ts';
import { type MemberPick, pickMember } from './pick-member.ts';
import { ALARM } from './rpcs.ts';
import { tlsMaterialSource } from './tls-material.ts';

test(
  'of a real cluster neither the leader, nor a learner, nor a corrupt member is taken',
  needs('etcd 3.6.16', 'etcdctl 3.6.16'),
  async () => {
    await using cluster = await startEtcdCluster();
    const learner = await cluster.addLearner();
    const leader = await cluster.leader();
    const followers = cluster.members.filter((member) => member !== leader && member !== learner);
    const endpoints = [learner.endpoint, leader.endpoint, ...followers.map((member) => member.endpoint)];
    await using client = connectEtcd({ endpoints });

    const first = await pick(client);
    assert.ok(
      followers.some(({ name }) => name === first.source.name),
      first.source.reason,
    );
    assert.equal(first.source.role, 'follower');
    const other = followers.find(({ endpoint }) => endpoint !== first.source.endpoint);
    assert.deepEqual(
      first.provers.map(({ endpoint }) => endpoint),
      [other?.endpoint, leader.endpoint],
    );
    assert.deepEqual(first.warnings, []);
    await sayCorrupt(leader, first.source.status.header.memberId);

    await eventually('every member knows of the alarm', async () => {
      const statuses = await client.statuses();
      return statuses.every(({ status }) => status?.alarms.length === 1);
    });
    const second = await pick(client);
    assert.equal(second.source.endpoint, other?.endpoint);
    assert.match(second.warnings.join(), /CORRUPT: that member must be replaced/);
    // etcd takes no writes now; a snapshot it gives.
    await assert.rejects(leader.etcdctl('put', 'a', 'b'), /corrupt cluster/);
    let size = 0;
    for await (const piece of client.snapshot(second.source.endpoint)) size += piece.length;
    assert.ok(size > 0);

    // The learner alone gives a snapshot only when it is asked for by name, so to speak.
    await using only = connectEtcd({ endpoints: [learner.endpoint] });
    await assert.rejects(
      pick(only),
      (error) => hasCode(error, 'etcd.no-member') && error.message.includes('is a learner'),
    );
    const statuses = await only.statuses();
    assert.equal(pickMember({ statuses }, { allowLearner: true }).source.role, 'learner');
    await assert.rejects(only.range('a'), (error) => hasCode(error, 'etcd.learner'));
  },
);

async function pick(client: EtcdClient): Promise<MemberPick> {
  const members = await client.members().catch(() => undefined);
  return pickMember({ statuses: await client.statuses(), members: members?.members });
}

/** Raises the alarm that etcd raises when it finds its members' hashes to differ. */
async function sayCorrupt(via: Etcd, memberId: bigint): Promise<void> {
  const connection = new EndpointConnection(parseEndpoint(via.endpoint, false), {
    channel: { connectTimeoutMs: 5_000, flowControlWindow: 1 << 16, keepalive: false },
    tls: tlsMaterialSource({}),
    serverName: undefined,
    insecureSkipVerify: false,
    credentials: undefined,
    requestTimeoutMs: 5_000,
    closing: new AbortController().signal,
  });
  try {
    await connection.call(ALARM, { action: 'ACTIVATE', memberID: memberId.toString(), alarm: 'CORRUPT' });
  } finally {
    connection.close();
  }
}
