import { z } from 'zod';
import { bytes, exact, flag, maybe, small, text, texts, wide } from './fields.ts';
import { fence, problem, requester, restorePoint, workOn } from './request-parts.ts';

const mode = z.enum(['FULL', 'INCREMENTAL']);

export const takeBackupRequest = z.object({
  ...workOn,
  mode,
  proof: text,
  retainUntilMs: exact,
  requester: maybe(requester),
  labels: z.record(z.string(), z.string()),
  etcdClusterId: wide,
});
export type TakeBackupRequest = z.output<typeof takeBackupRequest>;

const namespaceScope = z.object({ namespace: text, resources: texts, namespaceObject: flag });

export const backUpNamespacesRequest = z.object({
  ...workOn,
  backupId: text,
  timeline: text,
  namespaces: z.array(namespaceScope),
  revision: wide,
  prefix: text,
  retainUntilMs: exact,
  point: maybe(restorePoint),
});
export type BackUpNamespacesRequest = z.output<typeof backUpNamespacesRequest>;

export const buildRestorePointRequest = z.object({ ...workOn, point: maybe(restorePoint) });
export type BuildRestorePointRequest = z.output<typeof buildRestorePointRequest>;

export const cancelTaskRequest = z.object({ fence: maybe(fence), reason: text });
export type CancelTaskRequest = z.output<typeof cancelTaskRequest>;
export const cancelTaskReply = z.object({ cancelled: flag });
export type CancelTaskReply = z.output<typeof cancelTaskReply>;

const validation = z.object({
  verdict: text,
  proof: text,
  proofMessage: text,
  proofRevision: wide,
  hashKv: small,
  compactRevision: wide,
  totalKeys: exact,
  sha256: text,
});
export type Validation = z.output<typeof validation>;

export const backupResult = z.object({
  location: text,
  cluster: text,
  point: maybe(restorePoint),
  mode,
  modeReason: text,
  snapshotBytes: exact,
  storedBytes: exact,
  endpoint: text,
  memberId: wide,
  etcdVersion: text,
  validation: maybe(validation),
  found: flag,
  pointTimeMs: exact,
});
export type BackupResult = z.output<typeof backupResult>;

const storedPart = z.object({
  name: text,
  plainSize: exact,
  plainSha256: text,
  storedSize: exact,
  storedSha256: text,
});

export const namespacesResult = z.object({
  revision: wide,
  part: maybe(storedPart),
  objects: exact,
  encryptedResources: texts,
  readMs: exact,
});
export type NamespacesResult = z.output<typeof namespacesResult>;

const restorePointResult = z.object({ point: maybe(restorePoint), storedBytes: exact });
export type RestorePointResult = z.output<typeof restorePointResult>;

export const stageResult = z.object({
  hashKv: small,
  clusterId: wide,
  memberId: wide,
  revision: wide,
  keys: exact,
});
export type StageResult = z.output<typeof stageResult>;

export const taskUpdate = z.object({
  step: text,
  message: text,
  doneBytes: exact,
  totalBytes: exact,
  backup: maybe(backupResult),
  namespaces: maybe(namespacesResult),
  restorePoint: maybe(restorePointResult),
  stage: maybe(stageResult),
});
export type TaskUpdate = z.output<typeof taskUpdate>;

export const taskState = z.object({
  operation: text,
  kind: text,
  startedMs: exact,
  endedMs: exact,
  last: maybe(taskUpdate),
});
export type TaskState = z.output<typeof taskState>;

export const startCaptureRequest = z.object({ ...workOn, sealIntervalMs: exact, sealBytes: exact });
export type StartCaptureRequest = z.output<typeof startCaptureRequest>;
export const stopCaptureRequest = z.object({ fence: maybe(fence) });
export type StopCaptureRequest = z.output<typeof stopCaptureRequest>;

export const captureState = z.object({
  operation: text,
  location: text,
  running: flag,
  seenRevision: wide,
  storedRevision: wide,
  storedTimeMs: exact,
  lagSeconds: z.number(),
  gaps: exact,
  problem: maybe(problem),
});
export type CaptureState = z.output<typeof captureState>;

export const runHookRequest = z.object({
  fence: maybe(fence),
  name: text,
  command: texts,
  timeoutSeconds: small,
});
export type RunHookRequest = z.output<typeof runHookRequest>;
export const hookUpdate = z.object({
  stdout: bytes,
  stderr: bytes,
  ended: flag,
  exitCode: small,
  timedOut: flag,
});
export type HookUpdate = z.output<typeof hookUpdate>;
