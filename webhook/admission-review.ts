import { z } from 'zod';
import { GuardianError } from '../lib/guardian-error.ts';
import type { Requester } from '../lib/kubernetes/api/etcd-backup-spec.ts';
import type { ObjectMeta } from '../lib/kubernetes/object-meta.ts';

export const KINDS = ['EtcdBackup', 'EtcdBackupSchedule', 'EtcdRestore'] as const;
export type Kind = (typeof KINDS)[number];

/** What an API server asks about one request to it. */
export interface Admission {
  readonly uid: string;
  readonly operation: 'CREATE' | 'UPDATE' | 'DELETE';
  readonly kind: Kind;
  readonly namespace: string;
  /** Empty where the API server is still to find one. */
  readonly name: string;
  /** Empty, or `status`. */
  readonly subresource: string;
  /** Who sent the request, as the API server found out. */
  readonly user: Requester;
  readonly dryRun: boolean;
  /** Undefined for DELETE. */
  readonly object: SentObject | undefined;
  /** Undefined for CREATE. */
  readonly oldObject: SentObject | undefined;
  /** Of a DELETE: what becomes of what the object owns. */
  readonly propagation: string | undefined;
}

/** An object of ours. What stands in the spec was judged by the CRD's schema only when a validating hook is asked. */
export interface SentObject {
  readonly metadata: Partial<ObjectMeta> & { readonly generateName?: string };
  /** Undefined where there is none, or something else than an object. */
  readonly spec: Readonly<Record<string, unknown>> | undefined;
}

/**
 * Reads an AdmissionReview of admission.k8s.io/v1. Throws `admission.review`; of what stands in objects only metadata is
 * looked at.
 */
export function parseReview(body: unknown): Admission {
  const parsed = REVIEW.safeParse(body);
  if (!parsed.success) throw unreadable(parsed.error);
  const { request } = parsed.data;
  return {
    ...{ uid: request.uid, operation: request.operation, kind: request.kind.kind },
    namespace: request.namespace,
    name: request.name,
    subresource: request.subResource,
    user: requesterOf(request.userInfo),
    dryRun: request.dryRun === true,
    object: request.object ?? undefined,
    oldObject: request.oldObject ?? undefined,
    propagation: request.options?.propagationPolicy,
  };
}

export interface Answer {
  readonly allowed: boolean;
  /** For a refusal. */
  readonly status?: object | undefined;
  readonly patch?: readonly PatchOperation[] | undefined;
  readonly warnings?: readonly string[] | undefined;
  /** The policy that objected first; for metrics only. */
  readonly refusedBy?: string | undefined;
}

/** RFC 6902. */
export type PatchOperation =
  | { readonly op: 'add'; readonly path: string; readonly value: unknown }
  | { readonly op: 'remove'; readonly path: string };

/** An answer as the API server wants it. */
export function reviewOf(uid: string, { allowed, status, patch, warnings }: Answer): object {
  return {
    apiVersion: 'admission.k8s.io/v1',
    kind: 'AdmissionReview',
    response: {
      ...{ uid, allowed },
      ...(status === undefined ? {} : { status }),
      ...(patch === undefined || patch.length === 0
        ? {}
        : { patchType: 'JSONPatch', patch: Buffer.from(JSON.stringify(patch)).toString('base64') }),
      ...(warnings === undefined || warnings.length === 0 ? {} : { warnings }),
    },
  };
}

const texts = z.record(z.string(), z.string());
const metadata = z
  .looseObject({
    name: z.string().optional(),
    generateName: z.string().optional(),
    namespace: z.string().optional(),
    uid: z.string().optional(),
    deletionTimestamp: z.string().optional(),
    labels: texts.nullish().transform((value) => value ?? {}),
    annotations: texts.nullish().transform((value) => value ?? {}),
    finalizers: z
      .array(z.string())
      .nullish()
      .transform((value) => value ?? []),
    ownerReferences: z
      .array(z.looseObject({ apiVersion: z.string(), kind: z.string(), name: z.string(), uid: z.string() }))
      .nullish()
      .transform((value) => value ?? []),
  })
  .transform((value) => value as SentObject['metadata']);
const object = z.looseObject({
  metadata,
  spec: z.unknown().transform((spec) => (isRecord(spec) ? spec : undefined)),
});

const REVIEW = z.looseObject({
  apiVersion: z.literal('admission.k8s.io/v1'),
  kind: z.literal('AdmissionReview'),
  request: z.looseObject({
    uid: z.string().min(1).max(256),
    kind: z.looseObject({
      group: z.literal('etcdguardian.io'),
      version: z.literal('v1alpha1'),
      kind: z.enum(KINDS),
    }),
    namespace: z.string().default(''),
    name: z.string().default(''),
    subResource: z.string().default(''),
    operation: z.enum(['CREATE', 'UPDATE', 'DELETE']),
    userInfo: z.looseObject({
      username: z.string().default(''),
      uid: z.string().optional(),
      groups: z.array(z.string()).nullish(),
      extra: z.record(z.string(), z.array(z.string()).nullable()).nullish(),
    }),
    object: object.nullish(),
    oldObject: object.nullish(),
    dryRun: z.boolean().nullish(),
    options: z.looseObject({ propagationPolicy: z.string().optional() }).nullish(),
  }),
});

type UserInfo = z.output<typeof REVIEW>['request']['userInfo'];

/** As it is stamped: what is empty is left out, since the API server leaves it out as well when it stores it. */
function requesterOf({ username, uid, groups, extra }: UserInfo): Requester {
  const said = Object.entries(extra ?? {}).map(([key, values]) => [key, values ?? []] as const);
  return {
    username,
    ...(uid === undefined || uid === '' ? {} : { uid }),
    ...(groups === undefined || groups === null || groups.length === 0 ? {} : { groups }),
    ...(said.length === 0 ? {} : { extra: Object.fromEntries(said) }),
  };
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function unreadable(error: z.ZodError): GuardianError {
  const [issue] = error.issues;
  const where = issue?.path.map(String).join('.') ?? '';
  return new GuardianError(
    'admission.review',
    `not a review that this webhook judges: ${where}: ${issue?.message ?? ''}`,
    {
      hint: 'It is for AdmissionReviews of admission.k8s.io/v1 about kinds of etcdguardian.io/v1alpha1.',
      cause: error,
    },
  );
}
