import assert from 'node:assert/strict';
import { test } from 'node:test';
import { chunksOf } from '../../test/harness/byte-stream.ts';
import { ByteReader } from './byte-reader.ts';

test('bytes come out in the lengths asked for, whatever the chunks', async () => {
  const text = 'the quick brown fox';
  for (const chunkLength of [1, 2, 3, 7, text.length]) {
    const reader = new ByteReader(chunksOf(Buffer.from(text), chunkLength));
    assert.equal((await reader.take(3)).toString(), 'the');
    assert.equal((await reader.peek(6)).toString(), ' quick');
    assert.equal(reader.position, 3);
    assert.equal((await reader.take(6)).toString(), ' quick');
    assert.equal(reader.position, 9);
    assert.equal((await reader.take(99)).toString(), ' brown fox');
    assert.equal((await reader.take(1)).length, 0);
    assert.equal((await reader.takeSome(1)).length, 0);
  }
});

test('takeSome gives what lies ready, within its limit', async () => {
  const reader = new ByteReader(chunksOf(Buffer.from('abcdef'), 4));
  assert.equal((await reader.takeSome(3)).toString(), 'abc');
  assert.equal((await reader.takeSome(3)).toString(), 'd');
  assert.equal((await reader.takeSome(3)).toString(), 'ef');
  assert.equal((await reader.takeSome(3)).length, 0);
});

test('nothing is read ahead of what is asked for, and closing closes the source', async () => {
  let given = 0;
  let closed = false;
  async function* source(): AsyncGenerator<Uint8Array> {
    try {
      for (;;) yield await Promise.resolve(Buffer.alloc(10, ++given));
    } finally {
      closed = true;
    }
  }
  const reader = new ByteReader(source());
  await reader.take(15);
  assert.equal(given, 2);
  await reader.take(5);
  assert.equal(given, 2);
  await reader.close();
  assert.equal(closed, true);
});
