/**
 * Makes the product's image for the machine's own architecture from files that are here: no container engine, no
 * registry, and the same bytes from the same files.
 *
 *     tools/image/main.ts [--output FILE] [--reference NAME]      an archive; default .tools/image/etcdguardian-VERSION.tar
 *     tools/image/main.ts --tree FOLDER                           its files, for Containerfile
 *
 * `--system FOLDER`: where the libraries are from; default what `tools/install.ts glibc` unpacked.
 */
import { createWriteStream } from 'node:fs';
import { mkdir, rename, rm, stat } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { pipeline } from 'node:stream/promises';
import { parseArgs } from 'node:util';
import { guardianImage, guardianVersion } from './guardian-image.ts';
import { type Image, imageArchive } from './image-archive.ts';
import { thisArchitecture } from './this-architecture.ts';
import { writeTree } from './write-tree.ts';

const project = join(import.meta.dirname, '..', '..');
const version = guardianVersion(project);
const { values } = parseArgs({
  options: {
    output: { type: 'string', default: join(project, '.tools', 'image', `etcdguardian-${version}.tar`) },
    reference: { type: 'string', default: `localhost/etcdguardian:${version}` },
    system: { type: 'string', default: join(project, '.tools', 'glibc-2.36', 'root') },
    tree: { type: 'string' },
  },
});

const image = guardianImage({ project, node: process.execPath, system: values.system }, values.reference);
if (values.tree === undefined) await writeArchive(image, values.output);
else await writeTree(image.layers, values.tree);

async function writeArchive(made: Image, file: string): Promise<void> {
  const unfinished = `${file}.${process.pid}`;
  await mkdir(dirname(file), { recursive: true });
  try {
    await pipeline(imageArchive([made], thisArchitecture()), createWriteStream(unfinished));
    await rename(unfinished, file);
  } catch (error) {
    await rm(unfinished, { force: true });
    throw error;
  }
  const { size } = await stat(file);
  process.stdout.write(`${made.reference} in ${file}: ${(size / 1e6).toFixed(0)} MB\n`);
}
