import { chmod, copyFile, mkdir } from 'node:fs/promises';
import path from 'node:path';
import { diskError } from '../../etcd/durable-file.ts';
import { GuardianError } from '../../guardian-error.ts';

/**
 * Lays into `folder` all that copies a program out of an image which has no shell, no `cp`, and not even a C library:
 *
 *     FOLDER/loader --library-path FOLDER/lib FOLDER/node FOLDER/copy-program.mts PROGRAM INTO
 *
 * This very Node, with the loader and the libraries that it runs with. Rejects with `drill.carrier` and with errors of
 * the disk.
 */
export async function layCarrier(folder: string): Promise<void> {
  const libraries = loadedLibraries();
  const loader = libraries.find((file) => LOADER.test(path.basename(file)));
  if (loader === undefined) {
    throw new GuardianError('drill.carrier', `no loader is known among ${libraries.join(', ')}`, {
      hint: "Use the product's image, or one with a Node that is linked to glibc or musl.",
    });
  }
  try {
    const lib = path.join(folder, 'lib');
    await mkdir(lib, { recursive: true });
    for (const file of libraries) await copyFile(file, path.join(lib, path.basename(file)));
    await lay(loader, path.join(folder, 'loader'));
    await lay('/proc/self/exe', path.join(folder, 'node'));
    await lay(path.join(import.meta.dirname, 'copy-program.ts'), path.join(folder, 'copy-program.mts'));
  } catch (error) {
    throw diskError(error, `laying out Node in ${folder}`);
  }
}

/** As glibc and musl call it on the machines that there are: ld-linux-x86-64.so.2, ld64.so.2, ld-musl-aarch64.so.1. */
const LOADER = /^ld(-|64)/;

/** By the names that they were asked for with; vdso is the kernel's own, and no file. */
function loadedLibraries(): string[] {
  const report = process.report.getReport() as { readonly sharedObjects?: readonly string[] };
  return (report.sharedObjects ?? []).filter((file) => file.startsWith('/'));
}

async function lay(from: string, to: string): Promise<void> {
  await copyFile(from, to);
  await chmod(to, 0o755);
}
