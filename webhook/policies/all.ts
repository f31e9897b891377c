import { type Policy } from '../policy.ts';
import { immutability } from './immutability.ts';
import { rights } from './rights.ts';
import { stamp } from './stamp.ts';
import { status } from './status.ts';

/** In the order they are asked: first those that need only the object, then those that ask the API server. */
export const POLICIES: readonly (readonly Policy[])[] = [
  [status, immutability],
  [stamp, rights],
];
