import type { Requester } from '../lib/kubernetes/api/etcd-backup-spec.ts';
import { type Judgement, judgeRights } from '../lib/kubernetes/rights/judge-rights.ts';
import type { Asked, RightsSettings, Surroundings } from '../lib/kubernetes/rights/required-rights.ts';
import { readSurroundings } from '../lib/kubernetes/rights/surroundings.ts';
import { tenantEndpoints } from '../lib/kubernetes/rights/tenant-endpoints.ts';
import { noRequester, requireVouched } from './secrets/secret-reader.ts';
import type { ControlPlaneTools } from './tools.ts';

export type JudgingTools = Pick<ControlPlaneTools, 'kube' | 'namespace' | 'settings' | 'audit'>;

/** What someone wants, and who. */
export interface Wish {
  readonly what: 'backup' | 'restore' | 'drill';
  readonly asked: Asked;
  /** Of the resource that asks, for the audit log; left out: the kind of what is asked. */
  readonly kind?: string;
  readonly name: string;
  readonly uid: string | undefined;
  /** Undefined: nobody stamped it. */
  readonly requester: Requester | undefined;
  /** Of a wish without a stamp, which nobody else tells the scope of. */
  readonly scopeOf: (surroundings: Surroundings) => Judgement['scope'];
}

/**
 * Asks again, before a run, for every right that admission asked for; the answer goes to the audit log. Rejects with
 * `admission.forbidden`, `controlplane.no-requester`, and as `judgeRights` does.
 */
export async function judgeAsked(
  { what, asked, kind = asked.kind, name, uid, requester, scopeOf }: Wish,
  tools: JudgingTools,
  signal: AbortSignal,
): Promise<Judgement> {
  const { namespace } = asked;
  if (requester !== undefined) requireVouched(tools, namespace);
  const judgement =
    requester === undefined
      ? await unstamped(asked, scopeOf, tools, signal)
      : await judgeRights(tools.kube, requester, asked, rightsSettings(tools), signal);
  const { refusal, scope } = judgement;
  tools.audit({
    who: requester,
    what,
    resource: { kind, namespace, name, uid },
    scope,
    result: refusal === undefined ? 'allowed' : 'denied',
    reason: refusal?.code,
    message: refusal?.message,
    operation: uid,
  });
  if (refusal !== undefined) throw refusal;
  return judgement;
}

/** As the installation has them; the webhook is given the same. */
export function rightsSettings({ settings }: Pick<ControlPlaneTools, 'settings'>): RightsSettings {
  const { allowedEndpoints, veleroNamespace } = settings;
  return { tenantEndpoints: tenantEndpoints(allowedEndpoints), veleroNamespace };
}

/** Whoever may create in our own namespace may what we may. */
async function unstamped(
  asked: Asked,
  scopeOf: Wish['scopeOf'],
  { kube, namespace }: JudgingTools,
  signal: AbortSignal,
): Promise<Judgement> {
  if (asked.namespace !== namespace) throw noRequester(asked.namespace, namespace);
  const surroundings = await readSurroundings(kube, asked, signal, 'now');
  return { refusal: undefined, surroundings, scope: scopeOf(surroundings) };
}
