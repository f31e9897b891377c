import { chmod, copyFile, mkdir, symlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { TarEntry } from './tar.ts';

/** Writes layers over each other into an empty folder, as a container would see them. */
export async function writeTree(layers: readonly (readonly TarEntry[])[], folder: string): Promise<void> {
  for (const { path, mode, content } of layers.flat()) {
    const target = join(folder, path);
    if (content.kind === 'folder') await mkdir(target, { recursive: true });
    else if (content.kind === 'link') await symlink(content.target, target);
    else if (content.kind === 'file') await copyFile(content.path, target);
    else await writeFile(target, content.kind === 'bytes' ? content.bytes : content.open());
    if (content.kind !== 'link') await chmod(target, mode);
  }
}
