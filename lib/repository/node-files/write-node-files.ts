import type { NodeFile, NodeFiles } from './node-files.ts';
import { encodeTarHeader, TAR_BLOCK, TAR_ID_LIMIT, TAR_NAME_BYTES, type TarHeader } from './tar-header.ts';

/** The form in which a node's files are stored: a tar archive that any tar reads (docs/format.md, "Files of a node"). */
export function* writeNodeFiles(files: NodeFiles): Generator<Uint8Array, void> {
  const index = Buffer.from(JSON.stringify(indexOf(files)));
  yield* entry({ ...NOBODY, name: INDEX, type: '0', size: index.length }, index);
  for (const file of files.files) {
    const { mode, uid, gid, modifiedAt } = file;
    const mtime = Math.max(0, Math.floor(modifiedAt.getTime() / 1000));
    yield* entry({ ...{ mode, uid, gid, mtime, size: 0, link: '' }, ...partOf(file) }, bytesOf(file));
  }
  yield Buffer.alloc(2 * TAR_BLOCK);
}

/** The first entry; it says what the others are. */
export const INDEX = 'index.json';
/** Files have the paths that they had on the node, below this. */
export const FILES = 'root';
export const NODE_FILES_FORMAT = 'etcdguardian-node-files';
export const NODE_FILES_VERSION = 1;

const NOBODY = { mode: 0o600, uid: 0, gid: 0, mtime: 0, link: '' } as const;

function indexOf({ node, collectedAt, tool, roots, manifests, leftOut }: NodeFiles): object {
  return {
    format: NODE_FILES_FORMAT,
    formatVersion: NODE_FILES_VERSION,
    node,
    collectedAt: collectedAt.toISOString(),
    tool,
    roots,
    manifests,
    leftOut,
  };
}

function partOf(file: NodeFile): Pick<TarHeader, 'name' | 'type'> & Partial<TarHeader> {
  const name = `${FILES}${file.path}`;
  switch (file.kind) {
    case 'file':
      return { name, type: '0', size: file.bytes.length };
    case 'folder':
      return { name: `${name}/`, type: '5' };
    case 'link':
      return { name, type: '2', link: file.target };
  }
}

function bytesOf(file: NodeFile): Uint8Array {
  return file.kind === 'file' ? file.bytes : Buffer.alloc(0);
}

function* entry(header: TarHeader, bytes: Uint8Array): Generator<Uint8Array, void> {
  const { plain, more } = split(header);
  if (more.length > 0) {
    const records = Buffer.from(more.map(([key, value]) => paxRecord(key, value)).join(''));
    yield encodeTarHeader({ ...NOBODY, name: 'more', type: 'x', size: records.length });
    yield* padded(records);
  }
  yield encodeTarHeader(plain);
  yield* padded(bytes);
}

/** What fits into a header, and what has to stand before it. */
function split(header: TarHeader): { plain: TarHeader; more: [key: string, value: string][] } {
  const more: [string, string][] = [];
  const text = (key: string, value: string): string => {
    if (Buffer.byteLength(value) <= TAR_NAME_BYTES && /^[ -~]*$/.test(value)) return value;
    more.push([key, value]);
    return key;
  };
  const id = (key: string, value: number): number => {
    if (value < TAR_ID_LIMIT) return value;
    more.push([key, String(value)]);
    return 0;
  };
  const plain = {
    ...header,
    name: text('path', header.name),
    link: text('linkpath', header.link),
    uid: id('uid', header.uid),
    gid: id('gid', header.gid),
  };
  return { plain, more };
}

/** `<length> <key>=<value>\n`, the length being that of all of it in bytes, its own digits included. */
function paxRecord(key: string, value: string): string {
  const rest = ` ${key}=${value}\n`;
  const restBytes = Buffer.byteLength(rest);
  let length = restBytes + String(restBytes).length;
  if (String(length).length > String(restBytes).length) length = restBytes + String(length).length;
  return `${length}${rest}`;
}

function* padded(bytes: Uint8Array): Generator<Uint8Array, void> {
  if (bytes.length === 0) return;
  yield bytes;
  const rest = bytes.length % TAR_BLOCK;
  if (rest > 0) yield Buffer.alloc(TAR_BLOCK - rest);
}
