import { Buffer } from 'node:buffer';
import { openBoltFile } from '../../etcd/bolt/reader.ts';
import { historyOf } from '../../etcd/mvcc/history.ts';
import { uidOfNamespace } from '../../keyspace/cluster-uid.ts';

const KUBE_SYSTEM = Buffer.from('/registry/namespaces/kube-system');

/** The name under which a cluster's backups are kept, as its data has it; undefined where it has no such namespace, or it can't be read. */
export async function clusterInFile(path: string, signal: AbortSignal): Promise<string | undefined> {
  await using file = await openBoltFile(path);
  let uid: string | undefined;
  for await (const { put } of historyOf(file, KUBE_SYSTEM, { signal }))
    uid = put === undefined ? undefined : uidOfNamespace(put.value);
  return uid;
}
