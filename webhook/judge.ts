import type { AuditLog, AuditRecord } from '../lib/audit-log.ts';
import { GuardianError } from '../lib/guardian-error.ts';
import { errorText } from '../lib/log-lines.ts';
import type { Admission, Answer } from './admission-review.ts';
import { POLICIES } from './policies/all.ts';
import { isControlPlane, type Objection, type Policy, type PolicyTools, type Verdict } from './policy.ts';
import { busy, refusal, unavailable } from './refusal.ts';
import { RequesterBusy } from './requester-shares.ts';
import { stampPatch } from './requester-stamp.ts';

/** The mutating hook: who asked is written into the object. What is wrong with it is for the validating one. */
export function mutate(admission: Admission, tools: Pick<PolicyTools, 'settings'>): Answer {
  return { allowed: true, patch: stampPatch(admission, tools) };
}

/**
 * The validating hook. Policies that ask nobody come first: what they refuse costs the API server nothing. Never rejects
 * for what a request holds: what can't be judged is refused.
 */
export async function validate(admission: Admission, tools: PolicyTools, audit: AuditLog): Promise<Answer> {
  if (isControlPlane(admission, tools)) return await judge(admission, tools, audit);
  try {
    const share = tools.shares.begin(admission.user.username);
    try {
      return await judge(admission, tools, audit);
    } finally {
      share[Symbol.dispose]();
    }
  } catch (error) {
    return troubled(admission, error, audit);
  }
}

async function judge(admission: Admission, tools: PolicyTools, audit: AuditLog): Promise<Answer> {
  const verdicts: (readonly [policy: Policy, verdict: Verdict])[] = [];
  for (const group of POLICIES) {
    const concerned = group.filter((policy) => policy.concerns(admission, tools));
    try {
      verdicts.push(
        ...(await Promise.all(
          concerned.map(async (policy) => [policy, await policy.judge(admission, tools)] as const),
        )),
      );
    } catch (error) {
      return troubled(admission, error, audit);
    }
    if (verdicts.some(([, { objections }]) => objections.length > 0)) break;
  }
  const objections = verdicts.flatMap(([, one]) => one.objections);
  const scope = verdicts.find(([, one]) => one.scope !== undefined)?.[1].scope;
  if (objections.length > 0) {
    audit(record(admission, 'denied', { scope, reason: reasonOf(objections), message: textOf(objections) }));
    return {
      ...refusal(objections),
      refusedBy: verdicts.find(([, one]) => one.objections.length > 0)?.[0].name,
    };
  }
  audit(record(admission, 'allowed', { scope }));
  return { allowed: true, warnings: verdicts.flatMap(([, one]) => one.warnings ?? []) };
}

function troubled(admission: Admission, error: unknown, audit: AuditLog): Answer {
  const reason = error instanceof GuardianError ? { reason: error.code } : {};
  audit(record(admission, 'denied', { ...reason, message: `could not be judged: ${errorText(error)}` }));
  return { ...unanswerable(error), refusedBy: error instanceof RequesterBusy ? 'shares' : 'trouble' };
}

function unanswerable(error: unknown): Answer {
  if (error instanceof RequesterBusy)
    return busy(`${error.message} — ${error.hint ?? ''}`, error.waitSeconds);
  if (error instanceof GuardianError && !error.retryable)
    return refusal([{ kind: 'forbidden', message: error.message, hint: error.hint }]);
  // The audit log has the words; they are about this process, and no business of the requester.
  const code = error instanceof GuardianError ? error.code : 'a defect';
  return unavailable(`this request could not be judged (${code}); try again, or see the log of the webhook`);
}

function record(
  { user, operation, subresource, kind, namespace, name, object, oldObject, uid, dryRun }: Admission,
  result: 'allowed' | 'denied',
  more: Partial<AuditRecord>,
): AuditRecord {
  const verb = operation.toLowerCase() + (subresource === '' ? '' : `-${subresource}`);
  const { metadata } = object ?? oldObject ?? {};
  return {
    who: user,
    what: dryRun ? `${verb}-dry-run` : verb,
    resource: { kind, namespace, name: name === '' ? (metadata?.name ?? '') : name, uid: metadata?.uid },
    // The API server's own audit log has it as well, under this uid.
    ...{ result, operation: uid },
    ...more,
  };
}

function reasonOf(objections: readonly Objection[]): string {
  return objections.some(({ kind }) => kind === 'forbidden') ? 'admission.forbidden' : 'admission.invalid';
}

function textOf(objections: readonly Objection[]): string {
  return objections
    .map((one) => (one.kind === 'invalid' ? `${one.field}: ${one.message}` : one.message))
    .join('. ');
}
