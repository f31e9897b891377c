/**
 * `copy-program.mts PROGRAM FOLDER`: copies a program of the image that this runs in into FOLDER. Run there by the Node
 * that `layCarrier` laid out, alone: it imports nothing of ours. What goes wrong is the last line that it writes.
 */
import { accessSync, chmodSync, constants, copyFileSync, existsSync } from 'node:fs';
import { join } from 'node:path';

const [, , program = '', target = ''] = process.argv;
const usual = ['/usr/local/bin', '/usr/bin', '/bin'];
const folders = new Set([...(process.env.PATH ?? '').split(':'), ...usual].filter((one) => one !== ''));

try {
  const found = [...folders].map((folder) => join(folder, program)).find((file) => existsSync(file));
  if (found === undefined) throw new Error(`there is none in ${[...folders].join(', ')}`);
  accessSync(found, constants.X_OK);
  const copy = join(target, program);
  copyFileSync(found, copy);
  chmodSync(copy, 0o755);
} catch (error) {
  const reason = error instanceof Error ? error.message : String(error);
  process.stderr.write(`no ${program} comes out of this image: ${reason}\n`);
  process.exitCode = 1;
}
