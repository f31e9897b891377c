import type { Schema } from './resource.ts';

/** What a nested object is called where its property's name wouldn't do. */
const NAMES: Readonly<Record<string, string>> = {
  requestedBy: 'Requester',
  namespaceSelector: 'LabelSelector',
  'matchExpressions*': 'LabelRequirement',
  'preBackup*': 'Hook',
  exec: 'HookCommand',
  hooks: 'BackupHooks',
  validation: 'BackupValidation',
  metadata: 'TemplateMetadata',
  'backupTemplate.spec': 'BackupTemplateSpec',
  source: 'BackupSource',
  progress: 'BackupProgress',
  namespaces: 'BackedUpNamespaces',
  'omitted*': 'OmittedKind',
  'problems*': 'ValidationProblem',
  drill: 'LastDrill',
  'backupHistory*': 'BackupRun',
  'conditions*': 'Condition',
  capture: 'CaptureStatus',
  forecast: 'BackupForecast',
  etcdCluster: 'EtcdCluster',
  'members*': 'RestoredMember',
  objects: 'RestoredObjects',
};

interface Declared {
  readonly name: string;
  readonly file: string;
  readonly text: string;
}

/** Interfaces for schemas, each declared once: the same schema elsewhere means the same interface. */
export class Declarations {
  readonly #bySchema = new Map<string, Declared>();
  readonly #names = new Set<string>();
  readonly #imports = new Map<string, Map<string, string>>();

  /** Declares `name` in `file`, and before it what it consists of. */
  declare(name: string, schema: Schema, file: string): string {
    const key = JSON.stringify({ ...schema, description: undefined, default: undefined });
    const known = this.#bySchema.get(key);
    if (known !== undefined) {
      if (known.file !== file) this.#importsOf(file).set(known.name, known.file);
      return known.name;
    }
    if (this.#names.has(name))
      throw new Error(`two different schemas would be called ${name}: name one of them`);
    this.#names.add(name);
    const lines = Object.entries(schema.properties ?? {}).flatMap(([property, of]) => {
      const optional = schema.required?.includes(property) === true || of.default !== undefined ? '' : '?';
      const type = this.#typeOf(of, [name, property], file);
      return [...comment(of), `readonly ${property}${optional}: ${type};`];
    });
    const text = [...comment(schema), `export interface ${name} {`, ...lines, '}'].join('\n');
    this.#bySchema.set(key, { name, file, text });
    return name;
  }

  /** Everything that was declared in a file, what it is about first. */
  fileText(file: string): string {
    const imports = [...this.#importsOf(file)].map(
      ([name, from]) => `import type { ${name} } from './${from}';`,
    );
    const own = [...this.#bySchema.values()].filter((declared) => declared.file === file).reverse();
    return [imports.sort().join('\n'), ...own.map(({ text }) => text)].join('\n\n');
  }

  #typeOf(schema: Schema, path: readonly [owner: string, property: string], file: string): string {
    if (schema.enum !== undefined) return schema.enum.map((value) => `'${value}'`).join(' | ');
    switch (schema.type) {
      case 'integer':
        return 'number';
      case 'string':
      case 'boolean':
        return schema.type;
      case 'array':
        return `readonly (${this.#typeOf(required(schema.items, path), [path[0], `${path[1]}*`], file)})[]`;
      case 'object':
        if (schema.additionalProperties !== undefined)
          return `Readonly<Record<string, ${this.#typeOf(schema.additionalProperties, path, file)}>>`;
        return this.declare(nameOf(path), schema, file);
    }
  }

  #importsOf(file: string): Map<string, string> {
    const imports = this.#imports.get(file) ?? new Map<string, string>();
    this.#imports.set(file, imports);
    return imports;
  }
}

function nameOf([owner, property]: readonly [owner: string, property: string]): string {
  const own = `${owner.charAt(0).toLowerCase()}${owner.slice(1)}.${property}`;
  return (
    NAMES[own] ?? NAMES[property] ?? property.charAt(0).toUpperCase() + property.slice(1).replace('*', '')
  );
}

function required(schema: Schema | undefined, path: readonly string[]): Schema {
  if (schema === undefined) throw new Error(`an array without items: ${path.join('.')}`);
  return schema;
}

const WIDTH = 110;

function comment({ description, format }: Schema): string[] {
  const text = [description, format === 'date-time' ? 'RFC 3339.' : undefined].filter(
    (part) => part !== undefined,
  );
  if (text.length === 0) return [];
  const words = text.join(' ').replaceAll('*/', '*\\/').split(' ');
  const lines = [''];
  for (const word of words) {
    const line = lines.at(-1) ?? '';
    if (line.length + word.length + 8 > WIDTH) lines.push(word);
    else lines[lines.length - 1] = line === '' ? word : `${line} ${word}`;
  }
  const [only, ...more] = lines;
  return more.length === 0 ? [`/** ${only ?? ''} */`] : ['/**', ...lines.map((line) => ` * ${line}`), ' */'];
}
