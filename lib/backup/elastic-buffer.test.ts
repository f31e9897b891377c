import assert from 'node:assert/strict';
import { createHash, randomBytes } from 'node:crypto';
import { test } from 'node:test';
import { elasticBuffer, type ElasticBufferSettings, type SpillFile } from './elastic-buffer.ts';

test('bytes come out unchanged and in order, from memory and from spill files', async () => {
  const disk = new Disk();
  const chunks = Array.from({ length: 200 }, (_, i) => randomBytes(1 + ((i * 37) % 900)));
  const source = produce(chunks);
  const out: Uint8Array[] = [];
  for await (const chunk of elasticBuffer(
    source,
    disk.settings({ memoryBytes: 2000, spillFileBytes: 5000 }),
  )) {
    out.push(chunk);
    if (out.length % 10 === 0) await turn(30);
  }
  assert.equal(digest(out), digest(chunks));
  assert.ok(disk.opened > 3, 'several spill files were used');
  assert.equal(disk.open, 0, 'every spill file was released');
});

test('the producer runs ahead of a stalled consumer up to memory plus disk, and no further', async () => {
  const disk = new Disk();
  let produced = 0;
  async function* endless(): AsyncGenerator<Uint8Array> {
    for (;;) {
      await turn(1);
      produced += 100;
      yield Buffer.alloc(100);
    }
  }
  const buffered = elasticBuffer(endless(), disk.settings({ memoryBytes: 1000, spillBytes: 3000 }));
  await buffered.next();
  await turn(500);
  assert.ok(produced >= 3900 && produced <= 4300, `produced ${produced}`);
  await buffered.return();
  assert.equal(disk.open, 0);
});

test('a full disk ends the spilling, not the transfer, and is told once', async () => {
  const disk = new Disk({ capacity: 1500 });
  const chunks = Array.from({ length: 100 }, () => randomBytes(200));
  const told: unknown[] = [];
  const settings = {
    ...disk.settings({ memoryBytes: 400 }),
    onSpillFull: (reason: unknown) => told.push(reason),
  };
  const out: Uint8Array[] = [];
  for await (const chunk of elasticBuffer(produce(chunks), settings)) {
    out.push(chunk);
    await turn(3);
  }
  assert.equal(digest(out), digest(chunks));
  assert.equal(told.length, 1);
});

test("the source's error reaches the consumer", async () => {
  async function* failing(): AsyncGenerator<Uint8Array> {
    yield Buffer.from('a');
    await turn(1);
    throw new Error('the stream was cut');
  }
  await assert.rejects(async () => {
    for await (const chunk of elasticBuffer(failing(), new Disk().settings({}))) assert.ok(chunk);
  }, /the stream was cut/);
});

test('the source is closed when the consumer stops early', async () => {
  let closed = false;
  async function* source(): AsyncGenerator<Uint8Array> {
    try {
      for (;;) {
        await turn(1);
        yield Buffer.alloc(10);
      }
    } finally {
      closed = true;
    }
  }
  for await (const chunk of elasticBuffer(source(), new Disk().settings({}))) {
    assert.equal(chunk.length, 10);
    break;
  }
  assert.ok(closed);
});

/** Spill files in memory with a common capacity; what a real disk does beyond that is the cipher file's own test. */
class Disk {
  readonly #capacity: number;
  #used = 0;
  open = 0;
  opened = 0;

  constructor(options: { readonly capacity?: number } = {}) {
    this.#capacity = options.capacity ?? Number.POSITIVE_INFINITY;
  }

  settings(some: Partial<ElasticBufferSettings>): ElasticBufferSettings {
    const openSpill = () => Promise.resolve(this.#file());
    return { memoryBytes: 1000, spillBytes: 100_000, spillFileBytes: 10_000, openSpill, ...some };
  }

  #file(): SpillFile {
    this.open++;
    this.opened++;
    let content = Buffer.alloc(0);
    return {
      append: async (bytes) => {
        await turn(1);
        if (this.#used + bytes.length > this.#capacity) throw new Error('ENOSPC');
        this.#used += bytes.length;
        content = Buffer.concat([content, bytes]);
        return content.length - bytes.length;
      },
      read: async (offset, length) => {
        await turn(1);
        return content.subarray(offset, offset + length);
      },
      [Symbol.asyncDispose]: () => {
        this.open--;
        this.#used -= content.length;
        return Promise.resolve();
      },
    };
  }
}

async function* produce(chunks: readonly Uint8Array[]): AsyncGenerator<Uint8Array> {
  for (const chunk of chunks) {
    await turn(1);
    yield chunk;
  }
}

/** Lets everything else that is ready run, `times` times over. */
async function turn(times: number): Promise<void> {
  for (let i = 0; i < times; i++) await new Promise((resolve) => setImmediate(resolve));
}

function digest(chunks: readonly Uint8Array[]): string {
  return createHash('sha256').update(Buffer.concat(chunks)).digest('hex');
}
