import type { ObjectStore } from '../storage/object-store.ts';
import { afterFolder } from './layout.ts';

/** The names of the folders right under `parent` (which ends with `/`), in order: one request each, whatever they hold. */
export async function* listFolders(
  store: ObjectStore,
  parent: string,
  signal: AbortSignal | undefined,
): AsyncGenerator<string, void> {
  let after: string | undefined;
  for (;;) {
    const folder = await nextFolder(store, parent, after, signal);
    if (folder === undefined) return;
    yield folder;
    after = afterFolder(`${parent}${folder}/`);
  }
}

async function nextFolder(
  store: ObjectStore,
  parent: string,
  after: string | undefined,
  signal: AbortSignal | undefined,
): Promise<string | undefined> {
  for await (const { name } of store.list(parent, { after, signal })) {
    const end = name.indexOf('/', parent.length);
    if (end >= 0) return name.slice(parent.length, end);
  }
  return undefined;
}
