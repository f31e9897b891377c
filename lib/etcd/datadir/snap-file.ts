import { Buffer } from 'node:buffer';
import { crc32c } from '../crc32c.ts';
import { type ClusterIdentity, idText, type MemberIdentity } from './member-identity.ts';
import { goJson, raftAttributesJson } from './member-json.ts';
import { encodeConfState, encodeMessage } from './wire.ts';

const TERM = 1n;
/** Events that etcd's v2 store remembers; all of them are written, used or not. */
const HISTORY_CAPACITY = 1000;
const NEVER = '0001-01-01T00:00:00Z';

/** Term 1, index n. */
export function snapFileName(cluster: ClusterIdentity): string {
  const index = cluster.members.length.toString(16);
  return `${idText(TERM).padStart(16, '0')}-${index.padStart(16, '0')}.snap`;
}

/**
 * The raft snapshot that a new member starts from: who its members are, as etcd's v2 store of just them. Needed up to
 * 3.6; 3.7 takes the members from the database. Byte for byte what etcdutl 3.5 writes.
 */
export function encodeSnapFile(cluster: ClusterIdentity): Buffer {
  const index = BigInt(cluster.members.length);
  const confState = encodeConfState(cluster.members.map(({ id }) => id));
  const metadata = encodeMessage([1, confState], [2, index], [3, TERM]);
  const snapshot = encodeMessage([1, Buffer.from(storeJson(cluster.members))], [2, metadata]);
  return encodeMessage([1, BigInt(crc32c(snapshot))], [2, snapshot]);
}

function storeJson(members: readonly MemberIdentity[]): string {
  const count = members.length;
  const events = members.map((member, index) => ({
    action: 'create',
    node: {
      key: attributesPath(member),
      value: raftAttributesJson(member),
      modifiedIndex: index + 1,
      createdIndex: index + 1,
    },
  }));
  const unused = Array.from({ length: Math.max(0, HISTORY_CAPACITY - count) }, () => null);
  return goJson({
    Root: node('/', 0, {
      0: node('/0', 0, { members: node('/0/members', 1, memberNodes(members)) }),
      1: node('/1', 0, {}),
    }),
    WatcherHub: {
      EventHistory: {
        Queue: {
          Events: [...events, ...unused],
          Size: count,
          Front: 0,
          Back: count,
          Capacity: HISTORY_CAPACITY,
        },
        StartIndex: 1,
        LastIndex: count,
      },
    },
    CurrentIndex: count,
    Stats: {
      ...{ getsSuccess: 0, getsFail: 0, setsSuccess: 0, setsFail: 0, deleteSuccess: 0, deleteFail: 0 },
      ...{ updateSuccess: 0, updateFail: 0, createSuccess: count, createFail: 0 },
      ...{
        compareAndSwapSuccess: 0,
        compareAndSwapFail: 0,
        compareAndDeleteSuccess: 0,
        compareAndDeleteFail: 0,
      },
      ...{ expireCount: 0, watchers: 0 },
    },
    CurrentVersion: 2,
  });
}

function memberNodes(members: readonly MemberIdentity[]): Record<string, StoreNode> {
  // Go writes the keys of a map in order of their text.
  const inOrder = members
    .map((member, index) => ({ text: idText(member.id), member, index: index + 1 }))
    .sort((a, b) => (a.text < b.text ? -1 : 1));
  return Object.fromEntries(
    inOrder.map(({ text, member, index }) => {
      const attributes = node(attributesPath(member), index, null, raftAttributesJson(member));
      return [text, node(`/0/members/${text}`, index, { raftAttributes: attributes })];
    }),
  );
}

interface StoreNode {
  readonly Path: string;
  readonly CreatedIndex: number;
  readonly ModifiedIndex: number;
  readonly ExpireTime: string;
  readonly Value: string;
  readonly Children: Record<string, StoreNode> | null;
}

function node(
  path: string,
  index: number,
  children: Record<string, StoreNode> | null,
  value = '',
): StoreNode {
  return {
    Path: path,
    CreatedIndex: index,
    ModifiedIndex: index,
    ExpireTime: NEVER,
    Value: value,
    Children: children,
  };
}

function attributesPath(member: MemberIdentity): string {
  return `/0/members/${idText(member.id)}/raftAttributes`;
}
