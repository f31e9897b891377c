import { z } from 'zod';
import { KINDS } from '../../bench/kubernetes-kinds.ts';
import { base64, callGateway } from '../harness/etcd-gateway.ts';
import type { Etcd } from '../harness/etcd.ts';

const rangeSchema = z.object({
  kvs: z.array(z.object({ key: z.string(), value: z.string().optional() })).default([]),
});

const deletedSchema = z.object({
  responses: z.array(z.object({ response_delete_range: z.object({ deleted: z.string().optional() }) })),
});

type Stored = z.output<typeof rangeSchema>['kvs'];

/** An ordinary minute of a cluster: a few hundred objects are written again. */
export async function changeOn(etcd: Etcd): Promise<void> {
  for (const prefix of ['/registry/pods/', '/registry/leases/', '/registry/deployments/']) {
    for (const { key, value } of await below(etcd, prefix, 100)) {
      await callGateway(etcd, 'kv/put', { key, value, ignore_lease: true });
    }
  }
}

export interface DeletedNamespace {
  readonly namespace: string;
  readonly keys: number;
  /** The key of a Secret that was in it. */
  readonly secret: string;
}

/** What "kubectl delete namespace" leaves of the one that holds the first Secret: nothing. */
export async function deleteNamespace(etcd: Etcd): Promise<DeletedNamespace> {
  const [first] = await below(etcd, '/registry/secrets/', 1);
  const secret = Buffer.from(first?.key ?? '', 'base64').toString();
  const namespace = secret.split('/')[3];
  if (namespace === undefined) throw new Error('the made cluster has no Secret');
  const folders = KINDS.filter(({ clusterScoped }) => clusterScoped !== true).map(
    ({ path }) => `/registry/${path}/${namespace}/`,
  );
  const deletions = folders.map((folder) => ({ request_delete_range: rangeOf(folder) }));
  const { responses } = deletedSchema.parse(await callGateway(etcd, 'kv/txn', { success: deletions }));
  const keys = responses.reduce((sum, one) => sum + Number(one.response_delete_range.deleted ?? 0), 0);
  return { namespace, keys, secret };
}

async function below(etcd: Etcd, prefix: string, limit: number): Promise<Stored> {
  return rangeSchema.parse(await callGateway(etcd, 'kv/range', { ...rangeOf(prefix), limit })).kvs;
}

function rangeOf(prefix: string): { key: string; range_end: string } {
  const end = Buffer.from(prefix);
  end[end.length - 1] = (end.at(-1) ?? 0) + 1;
  return { key: base64(prefix), range_end: base64(end) };
}
