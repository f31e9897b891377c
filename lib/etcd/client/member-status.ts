import type { MemberStatus } from './etcd-client.ts';
import { alarmsAmong, type StatusReply } from './rpcs.ts';

/** What a member answers for Status, in our words. */
export function memberStatus(endpoint: string, reply: StatusReply): MemberStatus {
  return {
    ...reply,
    endpoint,
    storageVersion: reply.storageVersion,
    leader: reply.leader === 0n ? undefined : reply.leader,
    isLeader: reply.leader !== 0n && reply.leader === reply.header.memberId,
    alarms: alarmsAmong(reply.errors),
  };
}
