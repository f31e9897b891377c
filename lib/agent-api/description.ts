import { z } from 'zod';
import { exact, flag, maybe, text, texts, wide } from './fields.ts';
import { problem } from './request-parts.ts';
import { restoreState } from './restore-messages.ts';
import { captureState, taskState } from './task-messages.ts';

export const describeRequest = z.object({});

const etcdMember = z.object({
  id: wide,
  name: text,
  peerUrls: texts,
  clientUrls: texts,
  isLearner: flag,
});

/** A way of running that a newer agent knows is unknown here. */
const runsAs = z
  .enum(['RUNS_AS_UNKNOWN', 'STATIC_POD', 'SYSTEMD_UNIT', 'BY_SETTINGS'])
  .catch('RUNS_AS_UNKNOWN');

export const etcdFound = z.object({
  runsAs,
  runsFrom: text,
  name: text,
  dataDir: text,
  walDir: text,
  clientUrls: texts,
  peerUrls: texts,
  initialCluster: text,
  version: text,
  clusterId: wide,
  memberId: wide,
  isLeader: flag,
  isLearner: flag,
  revision: wide,
  dbSize: exact,
  dbSizeInUse: exact,
  dbSizeQuota: exact,
  alarms: texts,
  members: z.array(etcdMember),
  dataDiskFree: exact,
  walDiskFree: exact,
  unreachable: maybe(problem),
  apiServers: texts,
});
export type EtcdFound = z.output<typeof etcdFound>;

/** An agent's node, its etcd, and everything that is going on there. */
export const description = z.object({
  node: text,
  version: text,
  instance: text,
  term: wide,
  termHolder: text,
  termOperation: text,
  timeMs: exact,
  etcd: maybe(etcdFound),
  problems: z.array(problem),
  certificateEndsMs: exact,
  tasks: z.array(taskState),
  captures: z.array(captureState),
  restores: z.array(restoreState),
  hooksAllowed: flag,
  attachmentsAllowed: flag,
  architecture: text,
});
export type Description = z.output<typeof description>;

export const takeTermRequest = z.object({ holder: text, atLeast: wide, operation: text });
export const term = z.object({ term: wide, previousHolder: text });
export type Term = z.output<typeof term>;
