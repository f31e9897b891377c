import { readFileSync, realpathSync } from 'node:fs';
import { existsSync } from 'node:fs';
import { join } from 'node:path';

/**
 * The shared libraries that a program of Linux needs, and what those need, with its loader: paths inside `root`, a file
 * system like `/`. The program isn't run, so that it may be another architecture's. Throws when one isn't there.
 */
export function sharedLibraries(program: string, root: string): string[] {
  const found = new Set<string>();
  const waiting = [program];
  for (let file = waiting.pop(); file !== undefined; file = waiting.pop()) {
    const { loader, needed, architecture } = readDynamics(file);
    const names = [
      ...needed.map((name) => findIn(root, architecture, name)),
      ...(loader === '' ? [] : [loader]),
    ];
    for (const name of names) {
      if (found.has(name)) continue;
      found.add(name);
      waiting.push(realpathSync(join(root, name)));
    }
  }
  // The loader counts itself among the libraries, by another path.
  return [...found].sort();
}

interface Dynamics {
  /** Empty for a library, and for a program that needs none. */
  readonly loader: string;
  readonly needed: readonly string[];
  readonly architecture: string;
}

const MACHINES: Readonly<Record<number, string>> = { 62: 'x86_64', 183: 'aarch64' };
const PT_LOAD = 1;
const PT_DYNAMIC = 2;
const PT_INTERP = 3;
const DT_NEEDED = 1;
const DT_STRTAB = 5;

/** ELF-64, little-endian: System V ABI, "Object Files" and "Dynamic Linking". */
function readDynamics(file: string): Dynamics {
  const elf = readFileSync(file);
  if (elf.toString('latin1', 0, 6) !== '\x7fELF\x02\x01')
    throw new Error(`${file} is no program of 64-bit Linux`);
  const number = (at: number): number => Number(elf.readBigUInt64LE(at));
  const architecture = MACHINES[elf.readUInt16LE(18)] ?? 'unknown';
  const segments = Array.from({ length: elf.readUInt16LE(56) }, (_, index) => {
    const at = number(32) + index * elf.readUInt16LE(54);
    return {
      ...{ type: elf.readUInt32LE(at), offset: number(at + 8), address: number(at + 16) },
      size: number(at + 32),
    };
  });
  const text = (at: number): string => elf.toString('latin1', at, elf.indexOf(0, at));

  const interpreter = segments.find(({ type }) => type === PT_INTERP);
  const loader = interpreter === undefined ? '' : text(interpreter.offset);
  const dynamic = segments.find(({ type }) => type === PT_DYNAMIC);
  if (dynamic === undefined) return { loader, needed: [], architecture };
  const tags = Array.from({ length: dynamic.size / 16 }, (_, index) => ({
    tag: number(dynamic.offset + index * 16),
    value: number(dynamic.offset + index * 16 + 8),
  }));
  const strings = tags.find(({ tag }) => tag === DT_STRTAB)?.value ?? 0;
  const home = segments.find(
    ({ type, address, size }) => type === PT_LOAD && strings >= address && strings < address + size,
  );
  if (home === undefined) throw new Error(`${file} doesn't say where the names of its libraries are`);
  const table = strings - home.address + home.offset;
  const needed = tags.filter(({ tag }) => tag === DT_NEEDED).map(({ value }) => text(table + value));
  return { loader, needed, architecture };
}

function findIn(root: string, architecture: string, name: string): string {
  const folders = [
    `/lib/${architecture}-linux-gnu`,
    `/usr/lib/${architecture}-linux-gnu`,
    '/lib64',
    '/usr/lib64',
  ];
  const path = folders
    .map((folder) => `${folder}/${name}`)
    .find((candidate) => existsSync(join(root, candidate)));
  if (path === undefined) throw new Error(`no ${name} in ${root}`);
  return path;
}
