import { readdirSync, statSync } from 'node:fs';
import { dirname, join } from 'node:path';
import type { TarEntry } from './tar.ts';

export type { TarEntry } from './tar.ts';

/** A file of this machine at a path of the image; links are followed. Its mode is 755 or 644 unless it is told. */
export function fileEntry(path: string, source: string, mode?: number): TarEntry {
  const { size, mode: has } = statSync(source);
  const usual = (has & 0o111) === 0 ? 0o644 : 0o755;
  return { path, mode: mode ?? usual, content: { kind: 'file', path: source, size } };
}

export function textEntry(path: string, text: string, mode = 0o644): TarEntry {
  return { path, mode, content: { kind: 'bytes', bytes: Buffer.from(text) } };
}

export function linkEntry(path: string, target: string): TarEntry {
  return { path, mode: 0o777, content: { kind: 'link', target } };
}

/** The files below `folder` whose path, relative to it, is `wanted`, put below `path`. In the order of their names. */
export function treeEntries(path: string, folder: string, wanted: (name: string) => boolean): TarEntry[] {
  const entries: TarEntry[] = [];
  const walk = (below: string): void => {
    for (const entry of readdirSync(join(folder, below), { withFileTypes: true }).sort(byName)) {
      const name = join(below, entry.name);
      if (!wanted(name)) continue;
      if (entry.isDirectory()) walk(name);
      else if (statSync(join(folder, name)).isFile())
        entries.push(fileEntry(join(path, name), join(folder, name)));
    }
  };
  walk('');
  return entries;
}

/** A layer: the entries, after the folders they lie in, and `/tmp`. */
export function withFolders(entries: readonly TarEntry[]): TarEntry[] {
  const folders = new Set(['tmp']);
  for (const { path } of entries)
    for (let folder = dirname(path); folder !== '.'; folder = dirname(folder)) folders.add(folder);
  const made = [...folders].sort().map((path): TarEntry => ({
    ...{ path, mode: path === 'tmp' ? 0o1777 : 0o755 },
    content: { kind: 'folder' },
  }));
  return [...made, ...entries];
}

function byName(one: { name: string }, other: { name: string }): number {
  return one.name < other.name ? -1 : 1;
}
