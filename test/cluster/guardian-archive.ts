import { join } from 'node:path';
import { guardianImage } from '../../tools/image/guardian-image.ts';
import { imageArchive } from '../../tools/image/image-archive.ts';
import { thisArchitecture } from '../../tools/image/this-architecture.ts';
import { requireTool } from '../harness/tools.ts';

/** By this name pods of the tests run the product as it is in the working tree. */
export const GUARDIAN_IMAGE = 'localhost/etcdguardian:test';

export function guardianArchive(): AsyncIterable<Uint8Array> {
  const project = join(import.meta.dirname, '..', '..');
  const system = join(requireTool('nsenter', '2.36'), '..', 'root');
  const image = guardianImage({ project, node: process.execPath, system }, GUARDIAN_IMAGE);
  return imageArchive([image], thisArchitecture());
}
