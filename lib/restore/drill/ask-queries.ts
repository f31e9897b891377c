import type { EtcdClient } from '../../etcd/client/etcd-client.ts';
import { BUILTIN_DIRECTORIES } from '../../keyspace/builtin-resources.ts';
import { exactJson } from '../../keyspace/exact-json.ts';
import { DEFAULT_PREFIX, parseKey, resourceName } from '../../keyspace/parse-key.ts';
import { directoryOf } from '../../keyspace/resource-directory.ts';
import { valueEncoding } from '../../keyspace/value-encoding.ts';
import { endOf } from './count-resources.ts';
import type { DrillApiClient } from './drill-api-client.ts';
import type { Check } from './drill-report.ts';
import type { ServedResource } from './list-resources.ts';
import { isOfSecret, type KeyQuery, type ObjectQuery, type Query, queryText } from './queries.ts';

/** What queries are asked of: etcd, and the API server where there is one, which reads what etcd can't show. */
export interface QueryTargets {
  readonly etcd: EtcdClient;
  readonly api?: { readonly client: DrillApiClient; readonly served: readonly ServedResource[] } | undefined;
  readonly signal?: AbortSignal | undefined;
}

/** Asks one after the other; each becomes a check, also the ones that can't be answered here. */
export async function askQueries(queries: readonly Query[], targets: QueryTargets): Promise<Check[]> {
  const checks: Check[] = [];
  for (const asked of queries) {
    const answer = await answerTo(asked, targets);
    checks.push({ name: `query: ${queryText(asked)}`, ...answer });
  }
  return checks;
}

type Answer = Pick<Check, 'passed' | 'detail'>;

async function answerTo(asked: Query, targets: QueryTargets): Promise<Answer> {
  if ('prefix' in asked) return counted(await countBelow(asked.prefix, targets), asked.atLeast);
  if ('key' in asked) return keyAnswer(asked.key, asked, targets);
  if ('object' in asked) return keyAnswer(keyOf(asked), asked, targets);
  const { resource, namespace, atLeast } = asked;
  return counted(
    await countBelow(`${folderOf(resource)}${namespace === undefined ? '' : `${namespace}/`}`, targets),
    atLeast,
  );
}

function counted(found: bigint, atLeast: number): Answer {
  return { passed: found >= BigInt(atLeast), detail: `${found} found` };
}

async function countBelow(prefix: string, { etcd, signal }: QueryTargets): Promise<bigint> {
  const from = Buffer.from(prefix);
  return (await etcd.range(from, { rangeEnd: endOf(from), countOnly: true, signal })).count;
}

/** Where the objects of a resource lie, as kubectl names it: `pods`, `deployments.apps`, `widgets.example.com`. */
function folderOf(resource: string): string {
  const dot = resource.indexOf('.');
  const plural = dot < 0 ? resource : resource.slice(0, dot);
  const group = dot < 0 ? '' : resource.slice(dot + 1);
  const directory = directoryOf({ group, plural });
  if (directory !== plural) return `${DEFAULT_PREFIX}/${directory}/`;
  const builtin = [...BUILTIN_DIRECTORIES].find(([, one]) => one.resource === plural);
  return `${DEFAULT_PREFIX}/${builtin?.[0] ?? plural}/`;
}

function keyOf({ resource, namespace, object }: ObjectQuery): string {
  return `${folderOf(resource)}${namespace === undefined ? '' : `${namespace}/`}${object}`;
}

async function keyAnswer(
  key: string,
  { field, equals }: Pick<KeyQuery, 'field' | 'equals'>,
  targets: QueryTargets,
): Promise<Answer> {
  const { etcd, signal } = targets;
  const [found] = (await etcd.range(key, { signal })).kvs;
  if (found === undefined) return { passed: false, detail: `${key} is not there` };
  if (field === undefined) return { passed: true, detail: `${key}, ${found.value.length} bytes` };
  const read = await objectOf(key, found.value, targets);
  if (typeof read === 'string') return { passed: false, detail: read };
  const value = fieldOf(read.object, field);
  if (value === undefined) return { passed: false, detail: `it has no ${field}` };
  const shown = JSON.stringify(value);
  const passed = equals === undefined || shown === JSON.stringify(equals);
  if (isConfidential(key, found.value))
    return { passed, detail: `${field} is ${passed ? 'there' : 'another'}` };
  return { passed, detail: `${field} is ${shown.slice(0, 200)}` };
}

/** What others may not read in the cluster, they don't read in reports and statuses. */
function isConfidential(key: string, value: Buffer): boolean {
  return isOfSecret({ key }) || valueEncoding(value).kind === 'encrypted';
}

/** The object, or why it can't be read. */
async function objectOf(
  key: string,
  value: Buffer,
  { api, signal }: QueryTargets,
): Promise<{ readonly object: unknown } | string> {
  if (api !== undefined) {
    const path = pathOf(key, api.served);
    if (path !== undefined) {
      const answer = await api.client.get(path, { signal });
      return answer.status === 200
        ? { object: answer.json }
        : `the API server answers ${answer.status}: ${answer.message.slice(0, 200)}`;
    }
  }
  const { kind } = valueEncoding(value);
  if (kind !== 'json') {
    const what = kind === 'encrypted' ? 'encrypted' : `stored as ${kind}`;
    return `it is ${what}: only an API server can read its fields (--kube-apiserver)`;
  }
  try {
    return { object: exactJson(value) };
  } catch (error) {
    return `it is no JSON: ${error instanceof Error ? error.message : String(error)}`;
  }
}

/** Where the API server has the object of a key; undefined for what it doesn't serve. */
function pathOf(key: string, served: readonly ServedResource[]): string | undefined {
  const object = parseKey(key);
  if (object === undefined) return undefined;
  const one = served.find(({ plural, group, resource }) =>
    object.group === undefined
      ? plural === object.resource && isOwnGroup(group)
      : resource === resourceName(object),
  );
  const [root] = one?.roots ?? [];
  if (one === undefined || root === undefined) return undefined;
  const namespace = object.namespace === undefined ? '' : `namespaces/${object.namespace}/`;
  return `${root}/${namespace}${one.plural}/${object.name}`;
}

/** Keys don't tell the groups of Kubernetes' own: all that are no custom resource's. */
function isOwnGroup(group: string): boolean {
  return !group.includes('.') || group.endsWith('.k8s.io');
}

function fieldOf(object: unknown, field: string): unknown {
  let at = object;
  for (const [, name, index, quoted] of field.matchAll(/([A-Za-z_$][\w-]*)|\[(\d+)\]|\["([^"]+)"\]/g)) {
    const step = name ?? quoted ?? index ?? '';
    if (typeof at !== 'object' || at === null || !Object.hasOwn(at, step)) return undefined;
    at = (at as Readonly<Record<string, unknown>>)[step];
  }
  return at;
}
