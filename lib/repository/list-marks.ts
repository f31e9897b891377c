import type { StoredObject } from '../storage/object-store.ts';
import { parseName } from './layout.ts';
import type { RepositorySettings } from './repository.ts';

/** The write-once, counted documents of one kind in a folder, by the id that they are about, each in order of numbers. */
export async function listMarks(
  { store }: Pick<RepositorySettings, 'store'>,
  folder: string,
  kind: 'removal' | 'trim',
  signal: AbortSignal | undefined,
): Promise<Map<string, StoredObject[]>> {
  const marks = new Map<string, StoredObject[]>();
  for await (const object of store.list(folder, { signal })) {
    const named = parseName(object.name);
    if (named?.kind !== kind) continue;
    const { id } = named.place;
    const ofId = marks.get(id);
    if (ofId === undefined) marks.set(id, [object]);
    else ofId.push(object);
  }
  return marks;
}
