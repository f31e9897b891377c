import { reasonOf } from '../../guardian-error.ts';
import { readStoredObject } from '../../keyspace/object-meta.ts';
import { objectTies } from '../../keyspace/object-ties.ts';
import { directoryOf, directoryOfKey, parseRecordKey } from '../../keyspace/resource-directory.ts';
import { secretType, SERVICE_ACCOUNT_TOKEN } from '../../keyspace/secret-type.ts';
import type { ServedResource } from '../discovery.ts';
import { isNeverExported } from '../export/export-scope.ts';
import { resourceName } from '../resource-path.ts';
import { lineText, type RestorableObject, type UntrustedRecord } from './stored-record.ts';

export interface JudgingRules {
  /** Those that the requester may restore; nothing else is written, whatever a record says. */
  readonly namespaces: ReadonlySet<string>;
  /** What the backup says that it holds: what isn't wanted of it is passed over in silence. */
  readonly held: ReadonlySet<string>;
  readonly served: readonly ServedResource[];
}

export type Judged =
  | { readonly verdict: 'restorable'; readonly object: RestorableObject }
  /** Left alone, with a reason: it isn't worth bringing back. */
  | { readonly verdict: 'skipped'; readonly object: string; readonly reason: string }
  /** It isn't what it should be, or can't be restored here. */
  | { readonly verdict: 'refused'; readonly object: string; readonly reason: string }
  | { readonly verdict: 'not-wanted' };

/**
 * What a record is, by its key, its value and the API server together; they must agree. Throws nothing, whoever made the
 * bytes.
 */
export function judgeRecord({ key, value }: UntrustedRecord, rules: JudgingRules): Judged {
  const found = parseRecordKey(key);
  const shown = lineText(key);
  const refused = (reason: string): Judged => ({ verdict: 'refused', object: shown, reason });
  const skipped = (reason: string): Judged => ({ verdict: 'skipped', object: shown, reason });
  if (found === undefined) return refused('no object has such a key');

  // 1. Where does it want to go?
  const directory = directoryOfKey(key, found);
  const { namespace, name } = found;
  const home = directory === NAMESPACES ? name : namespace;
  if (home === undefined) return refused('it is cluster-wide, and only namespaces are restored');
  if (!rules.namespaces.has(home))
    return rules.held.has(home)
      ? { verdict: 'not-wanted' }
      : refused(`it is of namespace ${lineText(home)}, which is not restored`);
  if (!NAME.test(name)) return refused('no object has such a name');

  // 2. Is its value that of this key?
  const stored = readStoredObject(value);
  if (stored.kind === 'encrypted')
    return refused('it is encrypted at rest, and only an API server with its key can read it');
  if (stored.kind !== 'object')
    return refused(stored.kind === 'malformed' ? lineText(stored.reason) : 'it is in an unknown encoding');
  const { meta, apiVersion, objectKind } = stored;
  if (meta.name !== name || meta.namespace !== (namespace ?? ''))
    return refused(
      `its value is that of ${lineText(JSON.stringify(`${meta.namespace}/${meta.name}`.slice(0, 200)))}`,
    );

  // 3. Does the API server know it?
  const sameDirectory = rules.served.filter((one) => directoryOf(one) === directory);
  const type = lineText(`${apiVersion} ${objectKind}`.slice(0, 200));
  if (sameDirectory.length === 0) return refused(`this API server has no such resource (${type})`);
  const served = sameDirectory.find((one) => versionOf(one) === apiVersion);
  if (served === undefined)
    return refused(
      `it is stored as ${type}, and this API server serves ${sameDirectory.map(versionOf).join(', ')}`,
    );
  if (served.kind !== objectKind) return refused(`its value is a ${type}, not a ${served.kind}`);
  if (served.namespaced !== (namespace !== undefined)) return refused('its scope is another one');

  // 4. Is it worth bringing back?
  const resource = resourceName(served);
  const reason = notWorthIt(directory, resource, name, value);
  if (reason !== undefined) return skipped(reason);
  try {
    const { owners, isBeingDeleted } = objectTies(value);
    if (isBeingDeleted) return skipped('it was being deleted when it was backed up');
    if (owners.length > MOST_OWNERS) return refused(`it has ${owners.length} owners`);
    const { uid } = meta;
    const object = { key, directory, resource, served, namespace, name, uid: uid.slice(0, 64), owners };
    return { verdict: 'restorable', object };
  } catch (error) {
    return refused(lineText(reasonOf(error)));
  }
}

const NAMESPACES = 'namespaces';
const MOST_OWNERS = 64;
/** Those of RBAC have colons. */
const NAME = /^[^/%\p{Cc}\s]{1,253}$/u;

function versionOf({ group, version }: ServedResource): string {
  return group === '' ? version : `${group}/${version}`;
}

function notWorthIt(directory: string, resource: string, name: string, value: Buffer): string | undefined {
  if (isNeverExported(resource)) return 'objects of this kind are not restored';
  if (directory === 'secrets' && secretType(value) === SERVICE_ACCOUNT_TOKEN)
    return 'tokens of service accounts are made anew';
  if (directory === 'configmaps' && name === 'kube-root-ca.crt')
    return 'Kubernetes makes it in every namespace';
  return undefined;
}
