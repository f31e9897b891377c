import { readFileSync } from 'node:fs';
import { z } from 'zod';

/** The program's version, as package.json has it. */
export const VERSION = z
  .object({ version: z.string() })
  .parse(JSON.parse(readFileSync(new URL('../package.json', import.meta.url), 'utf8'))).version;

/** How the program names itself in what it writes, e.g. in manifests. */
export const TOOL = `etcdguardian ${VERSION}`;
