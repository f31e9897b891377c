import type { Resource, Schema } from './resource.ts';
import { Declarations } from './declarations.ts';

/**
 * TypeScript for the resources, by file name: for each kind its spec, its status and the resource itself. A type that
 * several share stands where it is met first; the others import it.
 */
export function resourceFiles(resources: readonly Resource[]): Map<string, string> {
  const declarations = new Declarations();
  const files = new Map<string, string>();
  for (const resource of resources) {
    const base = fileName(resource.kind);
    for (const part of ['spec', 'status'] as const) {
      const file = `${base}-${part}.ts`;
      declarations.declare(`${resource.kind}${pascal(part)}`, partOf(resource, part), file);
      files.set(file, HEADER + declarations.fileText(file));
    }
    files.set(`${base}.ts`, HEADER + resourceText(resource, base));
  }
  return files;
}

const HEADER = '// Written by `make generate` from manifests/crds. Don’t edit.\n\n';

function partOf({ kind, schema }: Resource, part: 'spec' | 'status'): Schema {
  const found = schema.properties?.[part];
  if (found === undefined) throw new Error(`${kind} has no ${part}`);
  return found;
}

function resourceText(resource: Resource, base: string): string {
  const { kind, plural, group, version, schema } = resource;
  const constant = base.replaceAll('-', '_').toUpperCase();
  return `import type { ObjectMeta } from '../object-meta.ts';
import type { ${kind}Spec } from './${base}-spec.ts';
import type { ${kind}Status } from './${base}-status.ts';

/** ${schema.description ?? kind} */
export interface ${kind} {
  readonly apiVersion: '${group}/${version}';
  readonly kind: '${kind}';
  readonly metadata: ObjectMeta;
  readonly spec: ${kind}Spec;
  /** Absent until the control plane has seen it. */
  readonly status?: ${kind}Status;
}

export const ${constant}_RESOURCE = {
  group: '${group}',
  version: '${version}',
  apiVersion: '${group}/${version}',
  kind: '${kind}',
  plural: '${plural}',
} as const;
`;
}

/** EtcdBackupSchedule: `etcd-backup-schedule`. */
function fileName(kind: string): string {
  return kind.replace(/(?<=[a-z])[A-Z]/g, (letter) => `-${letter}`).toLowerCase();
}

function pascal(name: string): string {
  return name.charAt(0).toUpperCase() + name.slice(1);
}
