import { open, readdir, readFile, rename, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { z } from 'zod';
import { diskError, syncFolder } from '../../etcd/durable-file.ts';
import { GuardianError, reasonOf } from '../../guardian-error.ts';
import { makeFolders } from '../../make-folders.ts';
import { RESTORE_STATES } from './restore-states.ts';

const wide = z
  .string()
  .regex(/^-?\d{1,20}$/)
  .transform((text) => BigInt(text));
const problemSchema = z.object({
  ...{ code: z.string(), message: z.string(), hint: z.string(), retryable: z.boolean() },
});

const schema = z.object({
  format: z.literal(1),
  operation: z.string(),
  term: wide,
  state: z.enum(RESTORE_STATES),
  /** The furthest state on the way forward, which tells a rollback what there is to take back. */
  furthest: z.enum(RESTORE_STATES),
  sinceMs: z.number(),
  message: z.string(),
  problem: problemSchema.optional(),
  /** What asked for the restore, for whoever finds this later. No secrets. */
  subject: z.string(),
  /** After this, by this node's clock, nobody is waited for. */
  deadlineMs: z.number(),
  /** When it was committed. */
  committedMs: z.number().optional(),
  /** It was verified and past its deadline: no step forward any more, unless a peer has committed. */
  givenUp: z.boolean().optional(),
  /** On the way back: the old data lies in its place again, and etcd may run on it. */
  putBack: z.boolean().optional(),
  plan: z.object({
    cluster: z.string(),
    timeline: z.string(),
    chain: z.string(),
    revision: wide,
    token: z.string(),
    bumpTo: wide,
    quiesce: z.boolean(),
    /** Tells one set of grafts from another; absent for none. What they hold is nowhere on disk but in the data. */
    grafts: z.string().optional(),
    members: z.array(
      z.object({
        node: z.string(),
        name: z.string(),
        peerUrls: z.array(z.string()),
        agentAddress: z.string(),
      }),
    ),
  }),
  etcd: z.object({
    runsAs: z.enum(['STATIC_POD', 'SYSTEMD_UNIT', 'BY_SETTINGS', 'RUNS_AS_UNKNOWN']),
    runsFrom: z.string(),
    name: z.string(),
    dataDir: z.string(),
    walDir: z.string(),
    endpoints: z.array(z.string()),
    tls: z
      .object({
        ...{ caFile: z.string().optional(), certFile: z.string().optional(), keyFile: z.string().optional() },
        ...{ serverName: z.string().optional(), insecureSkipVerify: z.boolean().optional() },
      })
      .optional(),
    apiServers: z.array(z.string()),
  }),
  staged: z
    .object({ hashKv: z.number(), clusterId: wide, memberId: wide, revision: wide, keys: z.number() })
    .optional(),
});

/** What a member's node remembers of one restore. It holds no credentials. */
export type JournalEntry = z.output<typeof schema>;
export type JournalProblem = z.output<typeof problemSchema>;

/** The restores of one node: a file each, written with fsync before anything is done. */
export interface Journal {
  /** Newest first. */
  list(): readonly JournalEntry[];
  find(operation: string): JournalEntry | undefined;
  /** It is on disk when this resolves. Rejects with the disk's error; the entry before stands then. */
  write(entry: JournalEntry): Promise<void>;
}

/** So many ended restores are remembered, so that none of them starts again. */
const KEPT = 50;

/**
 * Opens the journals in a folder, which is made. Rejects with `restore.journal` where one can't be read: a restore may be
 * under way that nobody knows of.
 */
export async function openJournal(folder: string): Promise<Journal> {
  await makeFolders(folder, 0o700);
  const entries = new Map<string, JournalEntry>();
  for (const name of await readdir(folder)) {
    if (!name.endsWith('.json') || name.startsWith('.')) continue;
    const entry = await read(join(folder, name));
    entries.set(entry.operation, entry);
  }
  const newestFirst = (): JournalEntry[] => [...entries.values()].sort((a, b) => b.sinceMs - a.sinceMs);
  const forgetOld = async (): Promise<void> => {
    const ended = newestFirst().filter(({ state }) => ENDED.has(state));
    for (const { operation } of ended.slice(KEPT)) {
      await rm(fileOf(folder, operation), { force: true });
      entries.delete(operation);
    }
  };
  return {
    list: newestFirst,
    find: (operation) => entries.get(operation),
    async write(entry) {
      await writeDurably(folder, fileOf(folder, entry.operation), entry);
      entries.set(entry.operation, entry);
      await forgetOld().catch(() => undefined);
    },
  };
}

const ENDED: ReadonlySet<string> = new Set(['Resumed', 'RolledBack', 'CleanedUp', 'Failed']);

function fileOf(folder: string, operation: string): string {
  if (!/^[A-Za-z0-9][A-Za-z0-9._-]{0,127}$/.test(operation))
    throw new GuardianError('agent.request', 'the operation of a restore has a name that no file can have');
  return join(folder, `${operation}.json`);
}

async function writeDurably(folder: string, path: string, entry: JournalEntry): Promise<void> {
  const part = `${path}.part`;
  const text = JSON.stringify(entry, (_key, value: unknown) =>
    typeof value === 'bigint' ? value.toString() : value,
  );
  try {
    const file = await open(part, 'w', 0o600);
    try {
      await file.writeFile(`${text}\n`);
      await file.sync();
    } finally {
      await file.close();
    }
    await rename(part, path);
    await syncFolder(folder);
  } catch (error) {
    throw diskError(error, `writing the journal ${path}`);
  }
}

async function read(path: string): Promise<JournalEntry> {
  try {
    return schema.parse(JSON.parse(await readFile(path, 'utf8')));
  } catch (error) {
    throw new GuardianError('restore.journal', `the journal ${path} can't be read: ${reasonOf(error)}`, {
      hint: 'A restore may be under way that it tells of. Look at etcd and its data dir by hand, then move the file away.',
      cause: error,
    });
  }
}
