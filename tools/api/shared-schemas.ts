import { type Document, isMap, isSeq, type YAMLMap } from 'yaml';

/** A schema that stands in several places; the first is where it is written. */
interface SharedSchema {
  readonly from: readonly [plural: string, path: string];
  readonly to: readonly (readonly [plural: string, path: string])[];
  /** Properties that the copies don't have, nor rules that speak of them. */
  readonly without?: readonly string[];
}

/** Paths are properties below the root; `*` is an array's items. */
const SHARED: readonly SharedSchema[] = [
  {
    from: ['etcdbackups', 'spec.hooks.preBackup'],
    to: [
      ['etcdbackups', 'spec.hooks.postBackup'],
      ['etcdrestores', 'spec.preRestoreHooks'],
      ['etcdrestores', 'spec.postRestoreHooks'],
    ],
  },
  {
    // The schedule decides when; the requester is the schedule's.
    from: ['etcdbackups', 'spec'],
    to: [['etcdbackupschedules', 'spec.backupTemplate.spec']],
    without: ['schedule', 'requestedBy'],
  },
  {
    from: ['etcdbackups', 'spec.requestedBy'],
    to: [
      ['etcdbackupschedules', 'spec.requestedBy'],
      ['etcdrestores', 'spec.requestedBy'],
    ],
  },
  { from: ['etcdbackups', 'spec.storageLocation'], to: [['etcdrestores', 'spec.storageLocation']] },
  { from: ['etcdbackups', 'spec.encryption'], to: [['etcdrestores', 'spec.encryption']] },
  { from: ['etcdbackups', 'spec.etcdEndpoints'], to: [['etcdrestores', 'spec.etcdCluster.endpoints']] },
  { from: ['etcdbackups', 'status.restorePoint'], to: [['etcdrestores', 'status.restorePoint']] },
  { from: ['etcdbackups', 'status.backupHistory'], to: [['etcdbackupschedules', 'status.backupHistory']] },
  {
    from: ['etcdbackups', 'status.validationResult.drill'],
    to: [['etcdbackupschedules', 'status.drill']],
  },
  {
    from: ['etcdbackups', 'status.conditions'],
    to: [
      ['etcdbackupschedules', 'status.conditions'],
      ['etcdrestores', 'status.conditions'],
    ],
  },
];

const ROOT = ['spec', 'versions', 0, 'schema', 'openAPIV3Schema'] as const;

/** Puts each shared schema where else it belongs; descriptions that are there stay. `documents` by plural. */
export function shareSchemas(documents: ReadonlyMap<string, Document>): void {
  const at = (plural: string, path: string): { document: Document; keys: (string | number)[] } => {
    const document = documents.get(plural);
    if (document === undefined) throw new Error(`no CustomResourceDefinition ${plural}`);
    return { document, keys: [...ROOT, ...path.split('.').flatMap((name) => ['properties', name])] };
  };
  for (const { from, to, without = [] } of SHARED) {
    const source = at(...from);
    const schema = source.document.getIn(source.keys, true);
    if (!isMap(schema)) throw new Error(`no schema at ${from.join(': ')}`);
    for (const place of to) {
      const target = at(...place);
      const copy: unknown = schema.clone();
      if (!isMap(copy)) continue;
      leaveOut(copy, without);
      const description: unknown = target.document.getIn([...target.keys, 'description'], true);
      if (description !== undefined) copy.set('description', description);
      // A default of the source's parent means nothing elsewhere.
      if (place[0] !== from[0] && place[1] === 'spec.encryption') copy.delete('default');
      target.document.setIn(target.keys, copy);
    }
  }
}

/** Transition rules go too: what must not change is for the owner of the copy to say. */
function leaveOut(schema: YAMLMap, names: readonly string[]): void {
  for (const name of names) schema.deleteIn(['properties', name]);
  const rules: unknown = schema.get('x-kubernetes-validations');
  if (names.length === 0 || !isSeq(rules)) return;
  rules.items = rules.items.filter((rule) => {
    const text = String(isMap(rule) ? rule.get('rule') : rule);
    return ![...names, 'oldSelf'].some((name) => text.includes(name));
  });
}
