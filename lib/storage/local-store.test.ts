import { temporaryFolder } from '../../test/harness/temporary-folder.ts';
import { LocalStore } from './local-store.ts';
import { describeObjectStore } from './object-store.conformance.ts';

describeObjectStore('a folder', async () => {
  const folder = await temporaryFolder();
  return {
    store: new LocalStore(folder.join('not', 'yet', 'made')),
    [Symbol.asyncDispose]: () => folder[Symbol.asyncDispose](),
  };
});
