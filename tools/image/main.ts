/**
 * Writes the product's image into a file, for the machine's own architecture, from what `make packages tools` put here:
 * no container engine, no registry, and the same bytes from the same files.
 *
 *     tools/image/main.ts [FILE]      default .tools/image/etcdguardian-VERSION.tar
 */
import { createWriteStream } from 'node:fs';
import { mkdir, rename, rm, stat } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { pipeline } from 'node:stream/promises';
import { guardianImage, guardianVersion } from './guardian-image.ts';
import { imageArchive } from './image-archive.ts';
import { thisArchitecture } from './this-architecture.ts';

const project = join(import.meta.dirname, '..', '..');
const system = join(project, '.tools', 'glibc-2.36', 'root');
const version = guardianVersion(project);
const file = process.argv[2] ?? join(project, '.tools', 'image', `etcdguardian-${version}.tar`);
const reference = `localhost/etcdguardian:${version}`;

const image = guardianImage({ project, node: process.execPath, system }, reference);
const unfinished = `${file}.${process.pid}`;
await mkdir(dirname(file), { recursive: true });
try {
  await pipeline(imageArchive([image], thisArchitecture()), createWriteStream(unfinished));
  await rename(unfinished, file);
} catch (error) {
  await rm(unfinished, { force: true });
  throw error;
}
const { size } = await stat(file);
process.stdout.write(`${reference} in ${file}: ${(size / 1e6).toFixed(0)} MB\n`);
