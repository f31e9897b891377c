import { randomBytes } from 'node:crypto';
import { realpath, stat } from 'node:fs/promises';
import { posix } from 'node:path';
import { diskError } from '../../etcd/durable-file.ts';
import { GuardianError, reasonOf } from '../../guardian-error.ts';
import type { NodeFile } from '../../repository/node-files/node-files.ts';
import { keepAside } from './keep-aside.ts';
import { lookAtTarget, wayTo } from './look-at-target.ts';
import { type Placement, Placing } from './placing.ts';

export interface LayOutOptions {
  readonly root: string;
  readonly overwrite: boolean;
  readonly dryRun: boolean;
  readonly now: Date;
  readonly signal?: AbortSignal | undefined;
}

/** Paths as the node had them, without the root. Folders aren't counted. */
export interface LaidOut {
  /** Where nothing was before. */
  readonly added: readonly string[];
  /** What was there is kept. In a dry run: what differs. */
  readonly replaced: readonly Difference[];
  /** Were there as they have to be. */
  readonly same: readonly string[];
  /** The folder with what was replaced, by its paths; undefined where nothing was. */
  readonly keptAside: string | undefined;
  /** False: whoever ran this can't give files to others, and owns them now. */
  readonly owners: boolean;
}

export interface Difference {
  readonly path: string;
  /** For people: `content`, `mode`, `owner` … */
  readonly how: string;
}

/** See `restoreNodeFiles`. Files are put in place in this order. */
export async function layOut(files: readonly NodeFile[], options: LayOutOptions): Promise<LaidOut> {
  const { overwrite, dryRun, signal } = options;
  const root = await rootOf(options.root);
  const owners = process.geteuid?.() === 0;

  // 1. What is there?
  const added: string[] = [];
  const replaced: (Placement & Difference)[] = [];
  const same: string[] = [];
  const placing = new Placing(owners);
  for (const file of files) {
    signal?.throwIfAborted();
    const { path } = file;
    const { target, missing } = await wayTo(root, path);
    const found = missing.length > 0 ? NOTHING : await lookAtTarget(file, target, { owners });
    if (file.kind === 'folder') {
      if (found.kind === 'nothing') placing.needFolder(target, missing, file);
      continue;
    }
    if (found.kind === 'same') same.push(path);
    else placing.need({ file, target, path }, missing);
    if (found.kind === 'nothing') added.push(path);
    if (found.kind === 'differs') replaced.push({ file, target, path, how: found.how });
  }
  const told = { added, same, owners, replaced: replaced.map(({ path, how }) => ({ path, how })) };
  if (dryRun) return { ...told, keptAside: undefined };
  if (replaced.length > 0 && !overwrite) throw differs(told.replaced);

  // 2. What is going to be replaced is safe before anything changes.
  const keptAside = replaced.length === 0 ? undefined : asideFolder(root, options.now);
  if (keptAside !== undefined) await keepAside(keptAside, root, replaced);

  // 3. All of it, or nothing.
  await placing.place(signal);
  return { ...told, keptAside };
}

const NOTHING = { kind: 'nothing' } as const;

/** Node keys lie there: mode 0700. */
function asideFolder(root: string, now: Date): string {
  const name = `${now.toISOString().replaceAll(/[-:]|\.\d+/g, '')}-${randomBytes(4).toString('hex')}`;
  return posix.join(root, 'var/lib/etcdguardian/replaced', name);
}

async function rootOf(root: string): Promise<string> {
  let real;
  try {
    real = await realpath(root);
    if ((await stat(real)).isDirectory()) return real;
  } catch (error) {
    throw badRoot(root, reasonOf(error), error);
  }
  throw badRoot(root, 'it is no folder');
}

function badRoot(root: string, why: string, cause?: unknown): GuardianError {
  return new GuardianError('attachments.root', `files can't be laid out below ${root}: ${why}`, {
    hint: 'Name a folder that is there: / on the new node itself, or where its disk is mounted.',
    cause: diskError(cause, root),
  });
}

function differs(replaced: readonly Difference[]): GuardianError {
  const shown = replaced.slice(0, SHOWN).map(({ path, how }) => `${path} (${how})`);
  const more = replaced.length > SHOWN ? ` and ${replaced.length - SHOWN} more` : '';
  return new GuardianError(
    'attachments.differs',
    `${replaced.length} files are there already and differ: ${shown.join(', ')}${more}; nothing was changed`,
    { hint: 'If they may go, say --overwrite: what is there is kept aside.' },
  );
}

const SHOWN = 20;
