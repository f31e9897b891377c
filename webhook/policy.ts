import type { AuditRecord } from '../lib/audit-log.ts';
import type { KubeClient } from '../lib/kubernetes/kube-client.ts';
import type { RightsSettings } from '../lib/kubernetes/rights/required-rights.ts';
import type { Admission } from './admission-review.ts';
import type { RequesterShares } from './requester-shares.ts';

/** A rule, or a few that belong together. Policies don't know each other; every one of them must be content. */
export interface Policy {
  /** For metrics and logs. */
  readonly name: string;
  /** Whether it has anything to say about such a request. */
  concerns(admission: Admission, tools: PolicyTools): boolean;
  /** What is wrong; nothing where all is well. Rejects where it can't find out, which refuses the request. */
  judge(admission: Admission, tools: PolicyTools): Promise<Verdict> | Verdict;
}

export interface Verdict {
  readonly objections: readonly Objection[];
  /** Shown to whoever sent the request. */
  readonly warnings?: readonly string[];
  /** For the audit log. */
  readonly scope?: AuditRecord['scope'];
}

export const CONTENT: Verdict = { objections: [] };

export type Objection =
  /** The object makes no sense, whoever sends it. */
  | { readonly kind: 'invalid'; readonly field: string; readonly message: string }
  /** It would, from someone else. */
  | {
      readonly kind: 'forbidden';
      readonly message: string;
      readonly hint?: string | undefined;
      /** Nobody said no; those who would know were away. */
      readonly retryable?: boolean;
    };

export interface PolicyTools {
  readonly client: KubeClient;
  readonly settings: PolicySettings;
  /** What each requester may make us ask. */
  readonly shares: RequesterShares;
  readonly signal: AbortSignal;
}

export interface PolicySettings extends RightsSettings {
  /** The control plane's own account, `system:serviceaccount:NAMESPACE:NAME`. */
  readonly controlPlane: string;
}

export function isControlPlane({ user }: Admission, { settings }: Pick<PolicyTools, 'settings'>): boolean {
  return user.username === settings.controlPlane;
}

export function invalid(field: string, message: string): Objection {
  return { kind: 'invalid', field, message };
}

export function verdict(objections: Iterable<Objection>): Verdict {
  return { objections: [...objections] };
}
