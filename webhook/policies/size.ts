import { CONTENT, invalid, type Policy, verdict } from '../policy.ts';
import { isAsked } from '../subject.ts';

/** A spec is read at each run by each process: what no backup needs isn't kept. The stamp is not the sender's doing. */
export const size: Policy = {
  name: 'size',
  concerns: isAsked,
  judge({ object }) {
    const rest = Object.entries(object?.spec ?? {}).filter(([field]) => field !== 'requestedBy');
    const bytes = Buffer.byteLength(JSON.stringify(Object.fromEntries(rest)));
    if (bytes <= LARGEST) return CONTENT;
    return verdict([invalid('spec', `it has ${bytes} bytes; more than ${LARGEST} are not taken`)]);
  },
};

const LARGEST = 128 * 1024;
