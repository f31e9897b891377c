import { createReadStream } from 'node:fs';
import { readFile } from 'node:fs/promises';

/** What lies at one path of an archive. Owned by root, and as old as the epoch, so that the same files make the same bytes. */
export interface TarEntry {
  /** Without a leading slash; folders without one at the end. */
  readonly path: string;
  /** Permission bits; of links nobody looks at them. */
  readonly mode: number;
  readonly content: TarContent;
}

export type TarContent =
  | { readonly kind: 'folder' }
  | { readonly kind: 'link'; readonly target: string }
  | { readonly kind: 'bytes'; readonly bytes: Uint8Array }
  /** A file of this machine; it must keep its size meanwhile. */
  | { readonly kind: 'file'; readonly path: string; readonly size: number }
  /** Bytes that are made while they are written. */
  | { readonly kind: 'stream'; readonly size: number; readonly open: () => AsyncIterable<Uint8Array> };

const BLOCK = 512;
const PIECE = 1 << 20;

/** A tar archive (POSIX.1-2001: ustar, with pax headers where a name is too long for it), in the order given. */
export async function* tar(entries: Iterable<TarEntry>): AsyncGenerator<Uint8Array> {
  for (const entry of entries) {
    yield* headers(entry);
    let written = 0;
    for await (const chunk of bytesOf(entry.content)) {
      written += chunk.length;
      yield chunk;
    }
    const size = sizeOf(entry.content);
    if (written !== size) throw new Error(`${entry.path} has ${written} bytes, and had ${size} a moment ago`);
    yield padding(size);
  }
  yield Buffer.alloc(2 * BLOCK);
}

/** How many bytes `tar` makes of the entries. */
export function tarSize(entries: Iterable<TarEntry>): number {
  let total = 2 * BLOCK;
  for (const entry of entries) {
    for (const header of headers(entry)) total += header.length;
    const size = sizeOf(entry.content);
    total += size + padding(size).length;
  }
  return total;
}

function sizeOf(content: TarContent): number {
  if (content.kind === 'bytes') return content.bytes.length;
  return content.kind === 'file' || content.kind === 'stream' ? content.size : 0;
}

async function* bytesOf(content: TarContent): AsyncGenerator<Uint8Array> {
  if (content.kind === 'bytes') yield content.bytes;
  if (content.kind === 'stream') yield* content.open();
  if (content.kind === 'file') yield* fileBytes(content.path, content.size);
}

/** A stream for each of thousands of small files would cost more than all their bytes. */
async function* fileBytes(path: string, size: number): AsyncGenerator<Uint8Array> {
  if (size <= PIECE) yield await readFile(path);
  else yield* createReadStream(path, { highWaterMark: PIECE }) as AsyncIterable<Uint8Array>;
}

function* headers(entry: TarEntry): Generator<Buffer> {
  const name = entry.content.kind === 'folder' ? `${entry.path}/` : entry.path;
  const target = entry.content.kind === 'link' ? entry.content.target : '';
  const parts = splitName(name);
  const long: Record<string, string> = {};
  if (parts === undefined) long.path = name;
  if (Buffer.byteLength(target) > 100) long.linkpath = target;
  if (Object.keys(long).length > 0) {
    const records = Buffer.concat(Object.entries(long).map(([key, value]) => paxRecord(key, value)));
    yield header({ name: 'pax-header', prefix: '' }, 0o644, records.length, 'x', '');
    yield records;
    yield padding(records.length);
  }
  const type = { folder: '5', link: '2', bytes: '0', file: '0', stream: '0' }[entry.content.kind];
  const short = parts ?? { name: Buffer.from(name).subarray(0, 100).toString('latin1'), prefix: '' };
  yield header(short, entry.mode, sizeOf(entry.content), type, long.linkpath === undefined ? target : '');
}

interface SplitName {
  readonly name: string;
  readonly prefix: string;
}

/** ustar keeps 155 bytes of folders and 100 bytes of the rest; undefined where that isn't enough. */
function splitName(path: string): SplitName | undefined {
  if (Buffer.byteLength(path) <= 100) return { name: path, prefix: '' };
  for (let slash = path.indexOf('/'); slash !== -1; slash = path.indexOf('/', slash + 1)) {
    const prefix = path.slice(0, slash);
    const name = path.slice(slash + 1);
    if (name !== '' && Buffer.byteLength(name) <= 100 && Buffer.byteLength(prefix) <= 155)
      return { name, prefix };
  }
  return undefined;
}

/** `LENGTH KEY=VALUE\n`, where the length counts itself. */
function paxRecord(key: string, value: string): Buffer {
  const rest = Buffer.byteLength(` ${key}=${value}\n`);
  let length = rest + String(rest).length;
  length = rest + String(length).length;
  return Buffer.from(`${length} ${key}=${value}\n`);
}

function header(split: SplitName, mode: number, size: number, type: string, target: string): Buffer {
  const block = Buffer.alloc(BLOCK);
  const octal = (value: number, at: number, width: number): void => {
    block.write(value.toString(8).padStart(width - 1, '0'), at, 'latin1');
  };
  block.write(split.name, 0);
  octal(mode, 100, 8);
  octal(0, 108, 8);
  octal(0, 116, 8);
  octal(size, 124, 12);
  octal(0, 136, 12);
  block.write('        ', 148);
  block.write(type, 156);
  block.write(target, 157);
  block.write('ustar\0' + '00', 257, 'latin1');
  block.write(split.prefix, 345);
  const sum = block.reduce((total, byte) => total + byte, 0);
  block.write(`${sum.toString(8).padStart(6, '0')}\0 `, 148, 'latin1');
  return block;
}

function padding(size: number): Buffer {
  return Buffer.alloc((BLOCK - (size % BLOCK)) % BLOCK);
}
