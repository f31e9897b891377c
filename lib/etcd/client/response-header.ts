import type { Buffer } from 'node:buffer';
import { VarintReader } from '../mvcc/varint.ts';
import type { ResponseHeader } from './etcd-client.ts';

const CLUSTER_ID = 0x08;
const MEMBER_ID = 0x10;
const REVISION = 0x18;
const RAFT_TERM = 0x20;

/** etcdserverpb.ResponseHeader. Throws at bytes that are no such message. */
export function decodeHeader(message: Buffer): ResponseHeader {
  const reader = new VarintReader();
  const end = message.length;
  let { clusterId, memberId, revision, raftTerm } = NO_HEADER;
  while (reader.at < end) {
    const tag = message[reader.at] ?? 0;
    if (tag !== CLUSTER_ID && tag !== MEMBER_ID && tag !== REVISION && tag !== RAFT_TERM) {
      if (!reader.skipField(message, end)) throw cutOff();
      continue;
    }
    reader.at++;
    if (!reader.next(message, end)) throw cutOff();
    if (tag === CLUSTER_ID) clusterId = reader.uint64();
    else if (tag === MEMBER_ID) memberId = reader.uint64();
    else if (tag === REVISION) revision = reader.int64();
    else raftTerm = reader.uint64();
  }
  return { clusterId, memberId, revision, raftTerm };
}

export const NO_HEADER: ResponseHeader = { clusterId: 0n, memberId: 0n, revision: 0n, raftTerm: 0n };

function cutOff(): Error {
  return new Error('a header with a field that is cut off, or of a type that is not in use');
}
