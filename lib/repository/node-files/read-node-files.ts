import { z } from 'zod';
import { GuardianError } from '../../guardian-error.ts';
import { instant, words } from '../wire.ts';
import { isPlainPath, NODE_FILES_LIMITS, type NodeFile, type NodeFiles } from './node-files.ts';
import { checkTogether } from './check-node-files.ts';
import { damagedNodeFiles, hostileNodeFiles } from './node-files-errors.ts';
import { decodeTarHeader, TAR_BLOCK, type TarHeader } from './tar-header.ts';
import { FILES, INDEX, NODE_FILES_FORMAT, NODE_FILES_VERSION } from './write-node-files.ts';

/**
 * Reads what `writeNodeFiles` wrote. The bytes are not trusted: whatever could make a file land elsewhere than below
 * its own roots is refused (`attachments.hostile`), and so is more than a backup takes along. Rejects also with
 * `attachments.damaged`, `attachments.format` (written by a newer program) and what `chunks` throws.
 */
export async function readNodeFiles(chunks: AsyncIterable<Uint8Array>): Promise<NodeFiles> {
  const archive = await collect(chunks);
  const entries = entriesOf(archive);
  const first = entries.next();
  if (first.done === true || first.value.header.name !== INDEX || first.value.header.type !== '0')
    throw damagedNodeFiles('it does not begin with its index');
  const index = readIndex(first.value.bytes);
  const files: NodeFile[] = [];
  for (const { header, bytes } of entries) {
    if (files.length >= NODE_FILES_LIMITS.entries)
      throw hostileNodeFiles(`there are more than ${NODE_FILES_LIMITS.entries} of them`);
    files.push(fileOf(header, bytes));
  }
  const read: NodeFiles = { ...index, files };
  checkTogether(read);
  return read;
}

async function collect(chunks: AsyncIterable<Uint8Array>): Promise<Buffer> {
  const kept: Uint8Array[] = [];
  let size = 0;
  for await (const chunk of chunks) {
    size += chunk.length;
    if (size > NODE_FILES_LIMITS.archiveBytes)
      throw hostileNodeFiles(`they have more than ${NODE_FILES_LIMITS.archiveBytes} bytes`);
    kept.push(Uint8Array.from(chunk));
  }
  return Buffer.concat(kept);
}

interface Entry {
  readonly header: TarHeader;
  readonly bytes: Buffer;
}

/** The archive's entries, each with what stood before it already applied. */
function* entriesOf(archive: Buffer): Generator<Entry, void> {
  let more: Partial<TarHeader> | undefined;
  let at = 0;
  for (;;) {
    const block = archive.subarray(at, at + TAR_BLOCK);
    if (block.length < TAR_BLOCK) throw damagedNodeFiles('it ends too early');
    if (isZero(block)) break;
    const header = decodeTarHeader(block);
    const begin = at + TAR_BLOCK;
    const bytes = archive.subarray(begin, begin + header.size);
    if (bytes.length < header.size) throw damagedNodeFiles('it ends within a file');
    at = begin + Math.ceil(header.size / TAR_BLOCK) * TAR_BLOCK;
    if (header.type === 'x') {
      if (more !== undefined) throw damagedNodeFiles('an extended header stands before another one');
      more = paxRecords(bytes);
      continue;
    }
    if (header.type !== '0' && header.size > 0) throw damagedNodeFiles('a folder or link has content');
    yield { header: { ...header, ...more }, bytes };
    more = undefined;
  }
  if (more !== undefined || !isZero(archive.subarray(at)) || archive.length - at < 2 * TAR_BLOCK)
    throw damagedNodeFiles('it has no proper end');
}

function isZero(bytes: Buffer): boolean {
  return bytes.every((byte) => byte === 0);
}

function paxRecords(bytes: Buffer): Partial<TarHeader> {
  const found: { name?: string; link?: string; uid?: number; gid?: number } = {};
  let at = 0;
  while (at < bytes.length) {
    const [, digits] = /^([1-9][0-9]{0,6}) /.exec(bytes.toString('latin1', at, at + 8)) ?? [];
    const record = bytes.subarray(at, at + Number(digits ?? 0));
    const [, key, value] = /^[0-9]+ ([a-z]+)=([^]*)\n$/.exec(utf8(record)) ?? [];
    if (key === undefined || value === undefined || record.length !== Number(digits))
      throw damagedNodeFiles('an extended header is not well formed');
    if (key === 'path') found.name = value;
    else if (key === 'linkpath') found.link = value;
    else if ((key === 'uid' || key === 'gid') && /^[0-9]{1,10}$/.test(value)) found[key] = Number(value);
    else throw damagedNodeFiles(`an extended header has ${JSON.stringify(key)}`);
    at += record.length;
  }
  return found;
}

function utf8(bytes: Uint8Array): string {
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(bytes);
  } catch (error) {
    throw damagedNodeFiles('a text is not UTF-8', error);
  }
}

const formatSchema = z.object({ format: z.literal(NODE_FILES_FORMAT), formatVersion: z.int() });

const indexSchema = z.object({
  node: words,
  collectedAt: instant,
  tool: words,
  roots: z.array(z.string().refine(isPlainPath)).min(1).max(256),
  manifests: z.string().refine(isPlainPath),
  leftOut: z.array(z.object({ path: z.string().max(4096), reason: words })).max(NODE_FILES_LIMITS.leftOut),
});

function readIndex(bytes: Buffer): Omit<NodeFiles, 'files'> {
  try {
    const value: unknown = JSON.parse(utf8(bytes));
    const { formatVersion } = formatSchema.parse(value);
    if (formatVersion !== NODE_FILES_VERSION) throw otherVersion(formatVersion);
    return indexSchema.parse(value);
  } catch (error) {
    if (error instanceof GuardianError) throw error;
    throw damagedNodeFiles('its index is not one that we write', error);
  }
}

function otherVersion(version: number): GuardianError {
  return new GuardianError(
    'attachments.format',
    `the stored files of a node are of format version ${version}; this program knows ${NODE_FILES_VERSION}`,
    { hint: 'Use a newer version of etcdguardian.' },
  );
}

function fileOf(header: TarHeader, bytes: Buffer): NodeFile {
  const { name, type, mode, uid, gid, mtime, link } = header;
  const path = name.slice(FILES.length, type === '5' && name.endsWith('/') ? -1 : undefined);
  if (!name.startsWith(`${FILES}/`) || !isPlainPath(path))
    throw hostileNodeFiles(`one has the path ${JSON.stringify(name.slice(0, 200))}`);
  if (mode > 0o777) throw hostileNodeFiles(`${path} has mode ${mode.toString(8)}`);
  const facts = { path, mode, uid, gid, modifiedAt: new Date(mtime * 1000) };
  if (type === '5') return { ...facts, kind: 'folder' };
  if (type === '2') return { ...facts, kind: 'link', target: link };
  if (bytes.length > NODE_FILES_LIMITS.fileBytes) throw hostileNodeFiles(`${path} has ${bytes.length} bytes`);
  return { ...facts, kind: 'file', bytes };
}
