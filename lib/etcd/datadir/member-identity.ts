import { createHash } from 'node:crypto';
import { GuardianError } from '../../guardian-error.ts';

/** A member of a cluster to be, as `--initial-cluster` names it. */
export interface InitialMember {
  readonly name: string;
  readonly peerUrls: readonly string[];
}

/** A new cluster, as every one of its members must be told of it. */
export interface InitialCluster {
  /** `--initial-cluster-token`: with another one, equal peer URLs give other ids, and the clusters never mix. */
  readonly token: string;
  readonly members: readonly InitialMember[];
}

export interface MemberIdentity extends InitialMember {
  readonly id: bigint;
}

export interface ClusterIdentity {
  readonly clusterId: bigint;
  /** In ascending order of ids. */
  readonly members: readonly MemberIdentity[];
}

/**
 * The ids that every etcd derives for this cluster. Rejects with `restore.initial-cluster` where etcd would: no
 * member, no or two members of a name, a member without peer URL, a peer URL of two members.
 */
export function identifyCluster({ token, members }: InitialCluster): ClusterIdentity {
  checkMembers(members);
  const identified = members.map((member) => ({ ...member, id: memberId(member.peerUrls, token) }));
  identified.sort((a, b) => (a.id < b.id ? -1 : 1));
  return { clusterId: clusterId(identified.map((member) => member.id)), members: identified };
}

/** The first 8 bytes of the SHA-1 of the sorted peer URLs and the token. */
export function memberId(peerUrls: readonly string[], token: string): bigint {
  return firstEightBytes(Buffer.from([...peerUrls].sort(byBytes).join('') + token));
}

/** The first 8 bytes of the SHA-1 of the member ids, 8 bytes each, in ascending order. */
export function clusterId(memberIds: readonly bigint[]): bigint {
  const bytes = Buffer.alloc(8 * memberIds.length);
  const ascending = [...memberIds].sort((a, b) => (a < b ? -1 : 1));
  for (const [index, id] of ascending.entries()) bytes.writeBigUInt64BE(id, 8 * index);
  return firstEightBytes(bytes);
}

/** How etcd writes an id: in hex, without leading zeros. */
export function idText(id: bigint): string {
  return id.toString(16);
}

function checkMembers(members: readonly InitialMember[]): void {
  if (members.length === 0) throw refusal('no member is named');
  const names = new Set<string>();
  const owners = new Map<string, string>();
  for (const { name, peerUrls } of members) {
    if (name === '') throw refusal('a member has no name');
    if (names.has(name)) throw refusal(`two members are named ${name}`);
    names.add(name);
    if (peerUrls.length === 0) throw refusal(`${name} has no peer URL`);
    for (const url of peerUrls) {
      const owner = owners.get(url);
      if (owner !== undefined) throw refusal(`${url} is a peer URL of ${owner} and of ${name}`);
      owners.set(url, name);
    }
  }
}

function refusal(reason: string): GuardianError {
  return new GuardianError('restore.initial-cluster', `the cluster can't be: ${reason}`, {
    hint: 'Name every member once, with its own peer URLs, as in etcd: m1=https://10.0.0.1:2380,m2=https://10.0.0.2:2380',
  });
}

function firstEightBytes(bytes: Buffer): bigint {
  return createHash('sha1').update(bytes).digest().readBigUInt64BE(0);
}

function byBytes(a: string, b: string): number {
  return Buffer.compare(Buffer.from(a), Buffer.from(b));
}
