import type { Problem } from '../../lib/agent-api/request-parts.ts';
import type { RestoreState } from '../../lib/agent-api/restore-messages.ts';
import { GuardianError } from '../../lib/guardian-error.ts';
import type { Condition } from '../../lib/kubernetes/api/etcd-backup-status.ts';
import type { EtcdRestore } from '../../lib/kubernetes/api/etcd-restore.ts';
import type { EtcdRestoreStatus, RestoredMember } from '../../lib/kubernetes/api/etcd-restore-status.ts';
import { setCondition } from '../../lib/kubernetes/set-condition.ts';
import { wayBackText } from '../../lib/restore/cluster/way-back.ts';
import { visibleText } from '../../lib/visible-text.ts';
import { failureOf } from '../backup/backup-status.ts';
import type { NamespaceRestoreOutcome } from '../namespace-restore/run-namespace-restore.ts';
import type { RestoreEnd, RestoreReport } from './restore-report.ts';

type Told = readonly [type: string, status: Condition['status'], reason: string, message: string];

/** What the status of an EtcdRestore becomes; pure: from what it was, what is known, and the time. */
export function restoreStatus(
  { metadata, status = {} }: Pick<EtcdRestore, 'metadata' | 'status'>,
  report: RestoreReport,
  now: Date,
): EtcdRestoreStatus {
  const { end, operation, term, startedAt, source, plan } = report;
  const before = without(status, ['message', 'reason', 'completionTime']);
  const point = plan?.point;
  const observed = metadata.generation === undefined ? {} : { observedGeneration: metadata.generation };
  const told = end === undefined ? running(report) : ended(end, report);
  return {
    ...before,
    ...observed,
    ...told.fields,
    operation,
    ...(term === 0n ? {} : { term: Number(term) }),
    startTime: status.startTime ?? startedAt.toISOString(),
    ...(end === undefined ? {} : { completionTime: now.toISOString() }),
    ...(source === undefined ? {} : { snapshotLocation: source.snapshotLocation }),
    ...(source?.backupName === undefined ? {} : { backupName: source.backupName }),
    ...(point === undefined
      ? {}
      : {
          restorePoint: {
            ...{ cluster: point.cluster, timeline: point.timeline, chain: point.chain },
            revision: Number(point.revision),
            ...(point.time === undefined ? {} : { time: point.time.toISOString() }),
          },
        }),
    ...membersOf(report, before.members),
    conditions: conditionsOf(status.conditions, told.conditions, observed, now),
  };
}

interface ToldStatus {
  readonly fields: Pick<
    EtcdRestoreStatus,
    'phase' | 'step' | 'reason' | 'message' | 'errors' | 'objects' | 'restoredKeys' | 'restoredRevision'
  >;
  readonly conditions: readonly Told[];
}

const PHASES = {
  Planning: 'Pending',
  Applying: 'Restoring',
  Staging: 'Pending',
  Quiescing: 'Quiescing',
  Swapping: 'Restoring',
  Verifying: 'Validating',
  Resuming: 'Validating',
  RollingBack: 'Restoring',
} as const;

const ADMITTED: Told = ['Admitted', 'True', 'RightsHeld', 'whoever asked has the rights that this needs'];

function running({ step, message, admitted }: RestoreReport): ToldStatus {
  const passed: readonly Told[] = [
    ...(admitted ? [ADMITTED] : []),
    ...(['Quiescing', 'Swapping', 'Verifying', 'Resuming'].includes(step)
      ? [['Staged', 'True', 'Staged', 'the data lies beside the present one, verified'] as const]
      : []),
    ...(['Swapping', 'Verifying', 'Resuming'].includes(step)
      ? [['Quiesced', 'True', 'Stopped', 'API servers and etcd were seen stopped'] as const]
      : []),
    ...(step === 'Resuming' ? [VERIFIED] : []),
  ];
  return { fields: { phase: PHASES[step], step, message: limited(message) }, conditions: passed };
}

const VERIFIED: Told = [
  'Verified',
  'True',
  'HashesEqual',
  'etcd answered the hash that was computed from the staged data before it was started',
];

function ended(end: RestoreEnd, report: RestoreReport): ToldStatus {
  switch (end.kind) {
    case 'planned': {
      const message = limited(`dry run, nothing was changed. ${(report.plan?.lines ?? []).join('. ')}`);
      return {
        fields: { phase: 'Completed', message },
        conditions: [ADMITTED, ['Completed', 'True', 'DryRun', message]],
      };
    }
    case 'namespaces':
      return applied(end.outcome, report);
    case 'refused':
      return failed(end.failure, report, [], end.all);
    case 'restored':
      return completed(end, report);
    case 'rolled-back':
      return failed(end.failure, report, [
        report.states.size === 0
          ? ['RolledBack', 'True', 'NothingChanged', 'nothing was stopped or changed']
          : ['RolledBack', 'True', 'RolledBack', limited(wayBackText(report.states))],
      ]);
    case 'going-back':
      return failed(end.failure, report, [
        [
          'RolledBack',
          'False',
          'StillTrying',
          `the agents go on with the way back: ${failureOf(end.trouble).message}`,
        ],
      ]);
    case 'unknown':
    case 'taken-over':
      return failed(end.failure, report, [
        ['RolledBack', 'Unknown', 'Unknown', 'see the agents and their journals for how it ended'],
      ]);
  }
}

function applied(
  { objects, errors, restoredRevision, restoredKeys, namespaces, problem }: NamespaceRestoreOutcome,
  report: RestoreReport,
): ToldStatus {
  const found = {
    ...{ objects, errors: [...errors], restoredRevision: Number(restoredRevision), restoredKeys },
  };
  if (problem !== undefined) {
    const { fields, conditions } = failed(problem, report, []);
    return { fields: { ...fields, ...found }, conditions };
  }
  const message = limited(
    `${restoredKeys} objects of ${namespaces.join(', ')} restored as they were at revision ${restoredRevision}`,
  );
  return {
    fields: { ...found, phase: 'Completed', message },
    conditions: [ADMITTED, ['Completed', 'True', 'Restored', message]],
  };
}

function completed(
  { states, hooksFailed, trouble }: Extract<RestoreEnd, { readonly kind: 'restored' }>,
  report: RestoreReport,
): ToldStatus {
  const [first] = states.values();
  const staged = first?.staged;
  const revision = first?.point?.revision ?? report.plan?.point.revision ?? 0n;
  const hooks = hooksFailed.length === 0 ? '' : `; postRestore hooks failed: ${hooksFailed.join('; ')}`;
  const late = trouble === undefined ? '' : `; API servers are still to start: ${failureOf(trouble).message}`;
  const from = staged === undefined ? '' : `, and etcd counts on from ${staged.revision}`;
  const message = limited(`restored to revision ${revision}${from}${late}${hooks}`);
  return {
    fields: {
      ...{ phase: 'Completed', message, restoredRevision: Number(revision) },
      ...(staged === undefined ? {} : { restoredKeys: staged.keys }),
      ...(hooksFailed.length === 0 ? {} : { errors: [...hooksFailed].slice(0, MOST_ERRORS) }),
    },
    conditions: [
      ADMITTED,
      ['Staged', 'True', 'Staged', 'the data was staged and verified beside the old one'],
      ['Quiesced', 'True', 'Stopped', 'API servers and etcd were seen stopped'],
      VERIFIED,
      ['Completed', 'True', 'Restored', message],
      [
        'PostCare',
        'Unknown',
        'LookAtIt',
        'pods, nodes, CronJobs and leases of API servers are looked at half a minute later: this condition tells then what was found',
      ],
    ],
  };
}

function failed(
  failure: unknown,
  { step, admitted }: RestoreReport,
  more: readonly Told[],
  all: readonly unknown[] = [],
): ToldStatus {
  const { reason, message } = failureOf(failure);
  const refused = reason === 'admission.forbidden' || reason === 'controlplane.no-requester';
  const errors = all.map((one) => failureOf(one).message).slice(0, MOST_ERRORS);
  return {
    fields: { phase: 'Failed', step, reason, message, ...(errors.length > 1 ? { errors } : {}) },
    conditions: [
      ...(refused ? [['Admitted', 'False', reason, message] as const] : admitted ? [ADMITTED] : []),
      ...more,
      ['Completed', 'False', reason, message],
    ],
  };
}

const MOST_ERRORS = 100;
const LONGEST = 4_000;

function limited(text: string): string {
  return visibleText(text.slice(0, LONGEST)).slice(0, LONGEST);
}

const MEMBER_STATES: Readonly<Record<string, RestoredMember['state']>> = {
  Staged: 'Staged',
  Quiescing: 'Staged',
  Quiesced: 'Quiesced',
  Swapping: 'Quiesced',
  Swapped: 'Swapped',
  Starting: 'Swapped',
  Started: 'Swapped',
  Verifying: 'Swapped',
  Verified: 'Verified',
  Committed: 'Verified',
  Resuming: 'Verified',
  Resumed: 'Resumed',
  CleanedUp: 'Resumed',
  RolledBack: 'RolledBack',
  Failed: 'Failed',
};

function membersOf(
  { plan, states }: RestoreReport,
  before: EtcdRestoreStatus['members'],
): Pick<EtcdRestoreStatus, 'members'> {
  const nodes = new Set([...(plan?.participants ?? []).map(({ node }) => node), ...states.keys()]);
  if (nodes.size === 0) return before === undefined ? {} : { members: before };
  return { members: [...nodes].map((node) => memberOf(node, plan, states.get(node))) };
}

function memberOf(
  node: string,
  plan: RestoreReport['plan'],
  state: RestoreState | undefined,
): RestoredMember {
  const planned = plan?.participants.find((participant) => participant.node === node);
  const previous = state?.previousDataDir ?? '';
  const message = [state?.message ?? '', state?.problem?.message ?? '']
    .filter((text) => text !== '')
    .join('; ');
  return {
    node,
    ...(planned === undefined ? {} : { name: planned.name, dataDir: planned.dataDir }),
    state: state === undefined ? 'Planned' : (MEMBER_STATES[state.state] ?? 'Planned'),
    ...(previous === '' ? {} : { previousDataDir: previous }),
    ...(message === '' ? {} : { message: visibleText(message).slice(0, 1_000) }),
  };
}

function conditionsOf(
  before: readonly Condition[] | undefined,
  told: readonly Told[],
  observed: { readonly observedGeneration?: number },
  now: Date,
): Condition[] {
  return told.reduce<Condition[]>(
    (conditions, [type, is, reason, message]) =>
      setCondition(conditions, { type, status: is, reason, message, ...observed }, now),
    [...(before ?? [])],
  );
}

/** A failure as an agent's journal has it. */
export function errorOf({ code, message, hint, retryable }: Problem): GuardianError {
  return new GuardianError(code, message, { ...(hint === '' ? {} : { hint }), retryable });
}

function without<K extends keyof EtcdRestoreStatus>(
  status: EtcdRestoreStatus,
  fields: readonly K[],
): Omit<EtcdRestoreStatus, K> {
  const left: Partial<EtcdRestoreStatus> = { ...status };
  for (const field of fields) Reflect.deleteProperty(left, field);
  return left;
}
