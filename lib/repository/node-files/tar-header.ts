import { damagedNodeFiles } from './node-files-errors.ts';

/** One header of a tar archive, as POSIX.1-2001 lays it out ("ustar Interchange Format"); names in UTF-8. */
export interface TarHeader {
  readonly name: string;
  /** `0` file, `5` folder, `2` symbolic link, `x` what the next header has no room for. */
  readonly type: '0' | '5' | '2' | 'x';
  readonly mode: number;
  readonly uid: number;
  readonly gid: number;
  readonly size: number;
  /** Seconds since 1970. */
  readonly mtime: number;
  readonly link: string;
}

export const TAR_BLOCK = 512;
/** What a header has room for: bytes of a name, and numbers below it. */
export const TAR_NAME_BYTES = 100;
export const TAR_ID_LIMIT = 0o10000000;

/** Everything must fit: longer names and larger ids go into a header of type `x` before it. */
export function encodeTarHeader(header: TarHeader): Buffer {
  const block = Buffer.alloc(TAR_BLOCK);
  block.write(header.name, NAME.at, NAME.bytes, 'utf8');
  writeOctal(block, MODE, header.mode);
  writeOctal(block, UID, header.uid);
  writeOctal(block, GID, header.gid);
  writeOctal(block, SIZE, header.size);
  writeOctal(block, MTIME, header.mtime);
  block.write(header.type, TYPE, 'latin1');
  block.write(header.link, LINK.at, LINK.bytes, 'utf8');
  block.write(MAGIC, MAGIC_AT, 'latin1');
  // As every tar writes it: six digits, NUL, space.
  block.write(`${checksumOf(block).toString(8).padStart(6, '0')}\0 `, CHECKSUM.at, 'latin1');
  return block;
}

/** Throws `attachments.damaged` for what `encodeTarHeader` doesn't write. */
export function decodeTarHeader(block: Buffer): TarHeader {
  if (block.toString('latin1', MAGIC_AT, MAGIC_AT + MAGIC.length) !== MAGIC)
    throw damagedNodeFiles('a header is not one of a POSIX tar archive');
  const stated = parseInt(block.toString('latin1', CHECKSUM.at, CHECKSUM.at + 6), 8);
  if (stated !== checksumOf(block)) throw damagedNodeFiles('the checksum of a header is wrong');
  const type = block.toString('latin1', TYPE, TYPE + 1);
  if (type !== '0' && type !== '5' && type !== '2' && type !== 'x')
    throw damagedNodeFiles(`an entry has type ${JSON.stringify(type)}, which no file of a node has`);
  return {
    name: readText(block, NAME),
    type,
    mode: readOctal(block, MODE),
    uid: readOctal(block, UID),
    gid: readOctal(block, GID),
    size: readOctal(block, SIZE),
    mtime: readOctal(block, MTIME),
    link: readText(block, LINK),
  };
}

interface Field {
  readonly at: number;
  readonly bytes: number;
}

const NAME: Field = { at: 0, bytes: TAR_NAME_BYTES };
const MODE: Field = { at: 100, bytes: 8 };
const UID: Field = { at: 108, bytes: 8 };
const GID: Field = { at: 116, bytes: 8 };
const SIZE: Field = { at: 124, bytes: 12 };
const MTIME: Field = { at: 136, bytes: 12 };
const CHECKSUM: Field = { at: 148, bytes: 8 };
const TYPE = 156;
const LINK: Field = { at: 157, bytes: TAR_NAME_BYTES };
const MAGIC_AT = 257;
const MAGIC = 'ustar\x0000';

/** Digits and a NUL at the end, filling the field. */
function writeOctal(block: Buffer, { at, bytes }: Field, value: number): void {
  const digits = value.toString(8).padStart(bytes - 1, '0');
  if (digits.length >= bytes) throw new RangeError(`${value} does not fit into ${bytes} bytes of a header`);
  block.write(digits, at, 'latin1');
}

function readOctal(block: Buffer, { at, bytes }: Field): number {
  const text = block.toString('latin1', at, at + bytes - 1);
  if (!/^[0-7]+$/.test(text)) throw damagedNodeFiles('a number in a header is not octal');
  return parseInt(text, 8);
}

function readText(block: Buffer, { at, bytes }: Field): string {
  const end = block.indexOf(0, at);
  const field = block.subarray(at, end === -1 || end > at + bytes ? at + bytes : end);
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(field);
  } catch (error) {
    throw damagedNodeFiles('a name in a header is not UTF-8', error);
  }
}

/** The sum of all bytes, those of the checksum counted as spaces. */
function checksumOf(block: Buffer): number {
  let sum = 0;
  for (let at = 0; at < TAR_BLOCK; at++) {
    const isSum = at >= CHECKSUM.at && at < CHECKSUM.at + CHECKSUM.bytes;
    sum += isSum ? 0x20 : (block[at] ?? 0);
  }
  return sum;
}
