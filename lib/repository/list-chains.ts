import type { ObjectStore } from '../storage/object-store.ts';
import { afterFolder, chainsFolder, manifestName, parseName, segmentsFolder } from './layout.ts';
import type { BackupPlace } from './repository.ts';

/** The folder of a chain, as names tell it; nothing in it was read. */
export interface FoundChain {
  readonly place: BackupPlace;
  /** Whether it has a manifest. */
  readonly committed: boolean;
  /** What the first segment's name says; undefined without segments. */
  readonly segmentsFrom: bigint | undefined;
}

/**
 * The chains of a timeline, in order of ids. A chain may have any number of segments: they are jumped over with one
 * more request, not listed.
 */
export async function* listChains(
  store: ObjectStore,
  cluster: string,
  timeline: string,
  signal: AbortSignal | undefined,
): AsyncGenerator<FoundChain, void> {
  let chain: FoundChain | undefined;
  let after: string | undefined;
  do {
    const from: string | undefined = after;
    after = undefined;
    for await (const { name } of store.list(chainsFolder(cluster, timeline), { after: from, signal })) {
      const named = parseName(name);
      if (named?.kind !== 'manifest' && named?.kind !== 'content' && named?.kind !== 'segment') continue;
      if (chain !== undefined && chain.place.id !== named.place.id) yield chain;
      if (chain?.place.id !== named.place.id) {
        chain = { place: named.place, committed: false, segmentsFrom: undefined };
      }
      if (name === manifestName(named.place)) chain = { ...chain, committed: true };
      if (named.kind !== 'segment') continue;
      chain = { ...chain, segmentsFrom: named.follows };
      after = afterFolder(segmentsFolder(named.place));
      break;
    }
  } while (after !== undefined);
  if (chain !== undefined) yield chain;
}
