import { z } from 'zod';

// What the commands print with `--output json`: the fields that others build on.

const revision = z.string().regex(/^\d+$/);
const hashKV = z.object({ hash: z.int(), revision, compactRevision: z.string().regex(/^-?\d+$/) });

/** A backup, by `backup create`, `list` and `show`. */
export const backupAnswer = z.object({
  id: z.string().min(1),
  cluster: z.string(),
  timeline: z.string(),
  location: z.string(),
  revision,
  compactRevision: z.string(),
  totalKeys: z.int(),
  totalSize: z.int(),
  storedSize: z.int().positive(),
  hash: z.int(),
  hashKV,
  encrypted: z.boolean(),
  recipients: z.array(z.object({ id: z.string(), kind: z.string() })),
  proof: z.looseObject({ kind: z.string() }),
  etcd: z.looseObject({ endpoint: z.string(), memberName: z.string() }),
  labels: z.record(z.string(), z.string()),
  removed: z.boolean(),
});

export type BackupAnswer = z.output<typeof backupAnswer>;

/** `backup list`. */
export const listAnswer = z.array(
  z.discriminatedUnion('state', [
    backupAnswer.extend({ state: z.literal('sound') }),
    z.object({
      state: z.literal('damaged'),
      id: z.string(),
      cluster: z.string(),
      timeline: z.string(),
      problem: z.object({ code: z.string(), message: z.string() }),
    }),
  ]),
);

/** `backup verify`. */
export const verifiedAnswer = z.object({
  id: z.string(),
  depth: z.enum(['stored', 'deep']),
  sound: z.boolean(),
  problems: z.array(z.object({ code: z.string(), message: z.string(), object: z.string() })),
  plainBytes: z.int(),
});

/** `backup sweep`. */
export const sweptAnswer = z.object({
  deleted: z.array(z.object({ name: z.string(), size: z.int(), reason: z.string() })),
  refused: z.array(z.object({ name: z.string(), code: z.string() })),
  unknown: z.array(z.string()),
  abortedUploads: z.int(),
});

/** `snapshot verify`: numbers as etcdutl 3.6 prints them, 64-bit values as strings. */
export const verdictAnswer = z.object({
  sound: z.boolean(),
  revision,
  currentRevision: revision,
  compactRevision: z.string(),
  totalKeys: z.int(),
  totalSize: z.int(),
  hash: z.int(),
  hashKV: z.int(),
  problems: z.array(
    z.object({
      code: z.string(),
      message: z.string(),
      offset: z.int().optional(),
      key: z.string().optional(),
    }),
  ),
});

/** `restore`. */
export const restoredAnswer = z.object({
  clusterId: z.string(),
  token: z.string(),
  /** The first revision of the new cluster. */
  revision,
  bumped: z.boolean(),
  /** What every member must answer before its first write. */
  hashKV: z.int(),
  members: z.array(z.object({ name: z.string(), dataDir: z.string(), memberId: z.string() })),
  snapshot: verdictAnswer,
});

export type RestoredAnswer = z.output<typeof restoredAnswer>;

/** `drill run`. */
export const drillAnswer = z.object({
  result: z.enum(['passed', 'failed']),
  startedAt: z.iso.datetime(),
  point: z.string(),
  revision,
  databaseBytes: z.int(),
  etcd: z.object({ program: z.string(), version: z.string() }).nullable(),
  apiServer: z.object({ program: z.string(), version: z.string() }).nullable(),
  recoverySeconds: z.number().nullable(),
  phases: z.record(z.string(), z.number()),
  checks: z.array(z.object({ name: z.string(), passed: z.boolean(), detail: z.string() })),
  problem: z
    .object({
      code: z.string(),
      message: z.string(),
      hint: z.string().nullable(),
      phase: z.string().nullable(),
    })
    .nullable(),
  hashKV: z.int().nullable(),
  keys: z.int().nullable(),
  resources: z.array(z.object({ resource: z.string(), objects: z.int() })),
  listed: z
    .array(z.object({ resource: z.string(), objects: z.int().nullable(), problem: z.string().nullable() }))
    .nullable(),
  encryptionAtRest: z.array(z.object({ provider: z.string(), key: z.string(), values: z.int() })),
  warnings: z.array(z.string()),
});
