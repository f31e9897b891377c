import assert from 'node:assert/strict';
import { test } from 'node:test';
import { encryptionLines } from './restore-encryption.ts';

const KEY_1 = { provider: 'aescbc', key: 'key1' };
const KEY_2 = { provider: 'aescbc', key: 'key2' };

for (const [what, needed, now, told] of [
  ['the same key by name', [KEY_1], KEY_1, /^encrypted at rest with aescbc key1, by whose name/],
  ['another key', [KEY_1], KEY_2, /^warning: .*\(aescbc key2\): .* must have aescbc key1, or nobody/],
  ['one of two', [KEY_2, KEY_1], KEY_2, /^warning: .*must have aescbc key2, aescbc key1/],
  ['none any more', [KEY_1], 'plain', /^warning: .*writes Secrets as they are: .*aescbc key1/],
  ['one that came later', [], KEY_2, /"identity", too/],
  ['nobody who tells', [KEY_1], undefined, /^encrypted at rest: .*must have aescbc key1; .*not known here/],
  ['no encryption at all', [], 'plain', undefined],
  ['no encryption then, and nobody who tells', [], undefined, undefined],
] as const)
  test(`keys at rest: ${what}`, () => {
    const [line] = encryptionLines(needed, now);
    if (told === undefined) assert.equal(line, undefined);
    else assert.match(line ?? '', told);
  });
