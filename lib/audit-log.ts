import type { LogLines } from './log-lines.ts';

/** One decision, or one deed: who, what, on which object, over what, and how it went. */
export interface AuditRecord {
  /** Undefined: this program on its own, e.g. for a schedule without a stamp. */
  readonly who: AuditedUser | undefined;
  /** A verb, e.g. `create`, `backup`, `restore`, `exec`, `enrol`, `delete-data`. */
  readonly what: string;
  readonly resource: AuditedResource;
  /** What it reaches: `cluster`, or the names of namespaces. */
  readonly scope?: string | readonly string[] | undefined;
  readonly result: AuditResult;
  /** A stable code or a word, e.g. `admission.forbidden`. */
  readonly reason?: string | undefined;
  /** In words; the line's message when there is one. */
  readonly message?: string | undefined;
  /** As agents and manifests have it, e.g. the uid of an EtcdBackup. */
  readonly operation?: string | undefined;
}

export type AuditResult = 'allowed' | 'denied' | 'started' | 'succeeded' | 'failed';

export interface AuditedUser {
  readonly username: string;
  readonly uid?: string | undefined;
  readonly groups?: readonly string[] | undefined;
}

export interface AuditedResource {
  /** E.g. `EtcdBackup`, `Pod`, `Node`. */
  readonly kind: string;
  readonly namespace?: string | undefined;
  /** Empty when the API server had none yet (`generateName`). */
  readonly name: string;
  readonly uid?: string | undefined;
}

/** Where records go; every process has one. */
export type AuditLog = (record: AuditRecord) => void;

/**
 * Audit records as lines of the process's log: event `audit`, `audit: true` and the record, so that a collector picks
 * them by one field. What others chose (names, groups, messages) is cut to a size that no line of a log breaks at.
 */
export function auditLog(log: LogLines): AuditLog {
  return (record) => {
    const { who, what, resource, scope, result, reason, message, operation } = record;
    const level = result === 'denied' || result === 'failed' ? 'warning' : 'info';
    log.write(level, 'audit', cut(message ?? sentence(record)), {
      audit: true,
      who: who === undefined ? 'etcdguardian' : user(who),
      ...{ what, result },
      resource: {
        kind: resource.kind,
        ...(resource.namespace === undefined ? {} : { namespace: cut(resource.namespace) }),
        name: cut(resource.name),
        ...(resource.uid === undefined ? {} : { uid: cut(resource.uid) }),
      },
      ...(scope === undefined ? {} : { scope: typeof scope === 'string' ? cut(scope) : cutList(scope) }),
      ...(reason === undefined ? {} : { reason: cut(reason) }),
      ...(operation === undefined ? {} : { operation: cut(operation) }),
    });
  };
}

const LONGEST_TEXT = 1024;
/** Users of large directories are in hundreds of groups. */
const MOST_ENTRIES = 64;

function user({ username, uid, groups = [] }: AuditedUser): object {
  return {
    username: cut(username),
    ...(uid === undefined ? {} : { uid: cut(uid) }),
    groups: cutList(groups),
  };
}

/** `alice: restore of EtcdRestore prod/nightly denied (admission.forbidden)`. */
function sentence({ who, what, resource, result, reason }: AuditRecord): string {
  const { kind, namespace, name } = resource;
  const object = `${kind} ${namespace === undefined ? '' : `${namespace}/`}${name}`;
  const why = reason === undefined ? '' : ` (${reason})`;
  return `${who?.username ?? 'etcdguardian'}: ${what} of ${object} ${result}${why}`;
}

function cutList(texts: readonly string[]): string[] {
  const shown = texts.slice(0, MOST_ENTRIES).map(cut);
  return texts.length > MOST_ENTRIES ? [...shown, `… ${texts.length - MOST_ENTRIES} more`] : shown;
}

function cut(text: string): string {
  return text.length > LONGEST_TEXT ? `${text.slice(0, LONGEST_TEXT)}…` : text;
}
