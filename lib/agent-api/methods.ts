import { loadSync, type MethodDefinition, type ServiceDefinition } from '@grpc/proto-loader';
import { join } from 'node:path';
import type { z } from 'zod';
import type { Role } from '../pki/identity.ts';
import { describeRequest, description, takeTermRequest, term } from './description.ts';
import {
  readKeysReply,
  readKeysRequest,
  restoreState,
  restoreStatusRequest,
  restoreStepRequest,
  settleRequest,
  stageRequest,
} from './restore-messages.ts';
import {
  backUpNamespacesRequest,
  buildRestorePointRequest,
  cancelTaskReply,
  cancelTaskRequest,
  captureState,
  hookUpdate,
  runHookRequest,
  startCaptureRequest,
  stopCaptureRequest,
  takeBackupRequest,
  taskUpdate,
} from './task-messages.ts';

/** One call of agent.proto. */
export interface Method<Request = unknown, Reply = unknown, Streams extends boolean = boolean> {
  /** As in agent.proto. */
  readonly name: string;
  readonly request: z.ZodType<Request>;
  readonly reply: z.ZodType<Reply>;
  /** True: there are replies until the work ends. */
  readonly streams: Streams;
  /** Who may call it. */
  readonly callers: readonly Role[];
}

const LEADERS: readonly Role[] = ['control-plane', 'break-glass'];

/** What an agent does for others; the single list that client and server are made of. */
export const METHODS = {
  describe: once('Describe', describeRequest, description),
  takeTerm: once('TakeTerm', takeTermRequest, term),
  takeBackup: updates('TakeBackup', takeBackupRequest, taskUpdate),
  backUpNamespaces: updates('BackUpNamespaces', backUpNamespacesRequest, taskUpdate),
  buildRestorePoint: updates('BuildRestorePoint', buildRestorePointRequest, taskUpdate),
  cancelTask: once('CancelTask', cancelTaskRequest, cancelTaskReply),
  startCapture: once('StartCapture', startCaptureRequest, captureState),
  stopCapture: once('StopCapture', stopCaptureRequest, captureState),
  stage: updates('Stage', stageRequest, taskUpdate),
  hold: once('Hold', restoreStepRequest, restoreState),
  quiesce: once('Quiesce', restoreStepRequest, restoreState),
  swap: once('Swap', restoreStepRequest, restoreState),
  startEtcd: once('StartEtcd', restoreStepRequest, restoreState),
  verify: once('Verify', restoreStepRequest, restoreState),
  resume: once('Resume', restoreStepRequest, restoreState),
  commit: once('Commit', restoreStepRequest, restoreState),
  rollBack: once('RollBack', restoreStepRequest, restoreState),
  cleanUp: once('CleanUp', restoreStepRequest, restoreState),
  restoreStatus: once('RestoreStatus', restoreStatusRequest, restoreState, [...LEADERS, 'agent']),
  settle: once('Settle', settleRequest, restoreState),
  readKeys: once('ReadKeys', readKeysRequest, readKeysReply),
  runHook: updates('RunHook', runHookRequest, hookUpdate),
} as const;

export type MethodName = keyof typeof METHODS;
export type RequestOf<M extends MethodName> = z.output<(typeof METHODS)[M]['request']>;
export type ReplyOf<M extends MethodName> = z.output<(typeof METHODS)[M]['reply']>;
export type UnaryName = {
  [M in MethodName]: (typeof METHODS)[M]['streams'] extends false ? M : never;
}[MethodName];
export type StreamName = Exclude<MethodName, UnaryName>;

function once<Request, Reply>(
  name: string,
  request: z.ZodType<Request>,
  reply: z.ZodType<Reply>,
  callers: readonly Role[] = LEADERS,
): Method<Request, Reply, false> {
  return { name, request, reply, streams: false, callers };
}

function updates<Request, Reply>(
  name: string,
  request: z.ZodType<Request>,
  reply: z.ZodType<Reply>,
): Method<Request, Reply, true> {
  return { name, request, reply, streams: true, callers: LEADERS };
}

/** How a call's messages look on the wire. */
export function wireOf({ name }: Method): MethodDefinition<object, object> {
  const found = service()[name];
  if (found === undefined) throw new Error(`proto/agent/agent.proto has no ${name}`);
  return found;
}

export const SERVICE = 'etcdguardian.agent.v1.Agent';
/** Staging carries our own objects, which `ReadKeys` answers; everything else is small. */
export const MAX_REQUEST_BYTES = 32 * 1024 * 1024;
export const MAX_REPLY_BYTES = 32 * 1024 * 1024;

/** Trailers that carry an error across; see agent.proto. */
export const TRAILERS = {
  code: 'etcdguardian-code',
  hint: 'etcdguardian-hint',
  retryable: 'etcdguardian-retryable',
} as const;

const PROTO_FOLDER = join(import.meta.dirname, '..', '..', 'proto', 'agent');

let loaded: ServiceDefinition | undefined;

function service(): ServiceDefinition {
  if (loaded !== undefined) return loaded;
  const found = loadSync('agent.proto', {
    includeDirs: [PROTO_FOLDER],
    longs: String,
    enums: String,
    defaults: true,
    arrays: true,
    objects: true,
  })[SERVICE];
  if (found === undefined || 'format' in found) throw new Error(`proto/agent/agent.proto has no ${SERVICE}`);
  loaded = found;
  return loaded;
}
