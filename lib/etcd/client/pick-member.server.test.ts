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
import type { EndpointStatus, EtcdClient } from './etcd-client.ts';
import { type MemberPick, pickMember } from './pick-member.ts';
import { ALARM } from './rpcs.ts';
import { tlsMaterialSource } from './tls-material.ts';

test(
  'of a real cluster neither the leader, nor a learner, nor a corrupt member is taken',
  needs('etcd 3.6.16', 'etcdctl 3.6.16'),
  async () => {
    await using cluster = await startEtcdCluster();
    const learner = await cluster.addLearner();
    const voters = cluster.members.filter((member) => member !== learner);
    const [voter] = voters;
    assert.ok(voter !== undefined);
    const endpoints = [learner, ...voters].map((member) => member.endpoint);
    await using client = connectEtcd({ endpoints });

    const before = await settled(client);
    const first = await pick(client, before.statuses);
    const followers = voters.filter(({ endpoint }) => endpoint !== before.leader);
    assert.ok(
      followers.some(({ name }) => name === first.source.name),
      first.source.reason,
    );
    assert.equal(first.source.role, 'follower');
    const other = followers.find(({ endpoint }) => endpoint !== first.source.endpoint);
    assert.deepEqual(
      first.provers.map(({ endpoint }) => endpoint),
      [other?.endpoint, before.leader],
    );
    assert.deepEqual(first.warnings, []);
    await sayCorrupt(voter, first.source.status.header.memberId);

    const after = await eventually('every member knows of the alarm', async () => {
      const now = await settled(client);
      return now.statuses.every(({ status }) => status?.alarms.length === 1) && now;
    });
    const second = await pick(client, after.statuses);
    const sound = voters.map(({ endpoint }) => endpoint).filter((each) => each !== first.source.endpoint);
    const sources = sound.filter((each) => each !== after.leader);
    assert.ok(sources.includes(second.source.endpoint), second.source.reason);
    assert.match(second.warnings.join(), /CORRUPT: that member must be replaced/);
    // etcd takes no writes now; a snapshot it gives.
    await assert.rejects(voter.etcdctl('put', 'a', 'b'), /corrupt cluster/);
    let size = 0;
    for await (const piece of client.snapshot(second.source.endpoint)) size += piece.length;
    assert.ok(size > 0);

    // The learner alone gives a snapshot only when it is asked for by name, so to speak.
    await using only = connectEtcd({ endpoints: [learner.endpoint] });
    await assert.rejects(
      async () => pick(only, await only.statuses()),
      (error) => hasCode(error, 'etcd.no-member') && error.message.includes('is a learner'),
    );
    const statuses = await only.statuses();
    assert.equal(pickMember({ statuses }, { allowLearner: true }).source.role, 'learner');
    await assert.rejects(only.range('a'), (error) => hasCode(error, 'etcd.learner'));
  },
);

/** What all members say while they follow the same leader: on a loaded machine it may change at any time. */
async function settled(
  client: EtcdClient,
): Promise<{ readonly statuses: readonly EndpointStatus[]; readonly leader: string }> {
  return eventually('all members follow the same leader', async () => {
    const statuses = await client.statuses();
    const [leader, ...others] = new Set(statuses.map(({ status }) => status?.leader));
    if (leader === undefined || others.length > 0) return undefined;
    const led = statuses.find(({ status }) => status?.header.memberId === leader);
    return led && { statuses, leader: led.endpoint };
  });
}

async function pick(client: EtcdClient, statuses: readonly EndpointStatus[]): Promise<MemberPick> {
  const members = await client.members().catch(() => undefined);
  return pickMember({ statuses, members: members?.members });
}

/** Raises the alarm that etcd raises when it finds its members' hashes to differ. */
async function sayCorrupt(via: Etcd, memberId: bigint): Promise<void> {
  const connection = new EndpointConnection(parseEndpoint(via.endpoint, false), {
    channel: { connectTimeoutMs: 60_000, flowControlWindow: 1 << 16, keepalive: false },
    tls: tlsMaterialSource({}),
    serverName: undefined,
    insecureSkipVerify: false,
    credentials: undefined,
    requestTimeoutMs: 60_000,
    closing: new AbortController().signal,
  });
  try {
    await connection.call(ALARM, { action: 'ACTIVATE', memberID: memberId.toString(), alarm: 'CORRUPT' });
  } finally {
    connection.close();
  }
}
