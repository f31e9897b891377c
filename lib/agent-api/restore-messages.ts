import { z } from 'zod';
import { bytes, exact, flag, maybe, text, texts, wide } from './fields.ts';
import { fence, problem, restorePoint, workOn } from './request-parts.ts';
import { stageResult } from './task-messages.ts';

const plannedMember = z.object({ node: text, name: text, peerUrls: texts, agentAddress: text });
export type PlannedMember = z.output<typeof plannedMember>;

const graftedKey = z.object({ key: bytes, value: bytes, whereAbsent: flag });

export const stageRequest = z.object({
  ...workOn,
  point: maybe(restorePoint),
  members: z.array(plannedMember),
  token: text,
  bumpTo: wide,
  deadlineMs: exact,
  quiesce: flag,
  grafts: z.array(graftedKey),
  subject: text,
  graftPrefixes: z.array(bytes),
  holdMs: exact,
});
export type StageRequest = z.output<typeof stageRequest>;

export const restoreStepRequest = z.object({
  fence: maybe(fence),
  deadlineMs: exact,
  reason: maybe(problem),
});
export type RestoreStepRequest = z.output<typeof restoreStepRequest>;

export const restoreStatusRequest = z.object({ operation: text });
export type RestoreStatusRequest = z.output<typeof restoreStatusRequest>;

export const restoreState = z.object({
  operation: text,
  term: wide,
  state: text,
  message: text,
  previousDataDir: text,
  staged: maybe(stageResult),
  problem: maybe(problem),
  sinceMs: exact,
  subject: text,
  deadlineMs: exact,
  committedMs: exact,
  point: maybe(restorePoint),
  givenUp: flag,
  members: z.array(plannedMember),
});
export type RestoreState = z.output<typeof restoreState>;

export const settleRequest = z.object({
  fence: maybe(fence),
  commit: flag,
  withoutNodes: texts,
  by: text,
  notServing: flag,
});
export type SettleRequest = z.output<typeof settleRequest>;

export const readKeysRequest = z.object({
  keys: z.array(bytes),
  prefixes: z.array(bytes),
  keysOnly: flag,
  serializable: flag,
});
export type ReadKeysRequest = z.output<typeof readKeysRequest>;

export const readKeysReply = z.object({ revision: wide, items: z.array(graftedKey) });
export type ReadKeysReply = z.output<typeof readKeysReply>;
