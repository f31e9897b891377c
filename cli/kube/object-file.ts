import { readFile } from 'node:fs/promises';
import { text as textOf } from 'node:stream/consumers';
import { parseAllDocuments } from 'yaml';
import { GuardianError, reasonOf } from '../../lib/guardian-error.ts';

/** An object of ours as someone wrote it; the API server judges what is in it. */
export interface WrittenObject {
  readonly metadata?: Readonly<Record<string, unknown>>;
  readonly spec: Readonly<Record<string, unknown>>;
}

/** The only object of a file, of this kind; `-` is stdin. Rejects with `usage.file`. */
export async function objectIn(file: string, kind: string): Promise<WrittenObject> {
  const documents = parseAllDocuments(await read(file)).map((document) => document.toJS() as unknown);
  const objects = documents.filter((document) => document !== null);
  const [only] = objects;
  if (objects.length !== 1 || !isObject(only) || only.kind !== kind || !isObject(only.spec))
    throw new GuardianError('usage.file', `${file} must hold one ${kind}, and nothing else`, {
      hint: 'For several objects or other kinds use kubectl apply, and the command "wait" of this plugin.',
    });
  return { spec: only.spec, ...(isObject(only.metadata) ? { metadata: only.metadata } : {}) };
}

async function read(file: string): Promise<string> {
  try {
    return file === '-' ? await textOf(process.stdin) : await readFile(file, 'utf8');
  } catch (error) {
    throw new GuardianError('usage.file', `can't read ${file}: ${reasonOf(error)}`, { cause: error });
  }
}

function isObject(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
