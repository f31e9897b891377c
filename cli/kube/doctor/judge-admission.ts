import { foundOf, type Looked } from '../looked.ts';
import type { Installation } from '../installation.ts';
import type { WebhookConfiguration } from '../installed-resources.ts';
import { fail, type Finding, ok, unknown, warn } from './finding.ts';

const INSTALL = 'Install it again: helm upgrade, or kubectl apply of manifests/install.yaml.';
const POLICY_NAMES = ['requester', 'rights', 'status', 'finalizers'].map((name) => `etcdguardian-${name}`);

/** Those that must not keep a status or a deletion from happening. */
const SHIPPED_OPEN = ['status', 'deletion'].map((name) => `${name}.etcdguardian.io`);

/** What the API server knows of us: the resources, and who judges them. */
export function judgeAdmission(installation: Installation): Finding[] {
  const { mutating, validating } = installation;
  return [
    ...judgeCrds(installation),
    judgeWebhook('webhook that stamps', mutating, installation),
    judgeWebhook('webhook that judges', validating, installation),
    judgePolicies(installation),
  ];
}

function judgeCrds({ crds }: Installation): Finding[] {
  if (!('found' in crds)) return [unknown('CRDs', crds.problem)];
  const findings = crds.found.flatMap(([name, crd]): Finding[] => {
    if (crd === undefined) return [fail('CRDs', `${name}.etcdguardian.io is not there`, INSTALL)];
    const serves = crd.spec?.versions?.some((one) => one.name === 'v1alpha1' && one.served) === true;
    if (!serves) return [fail('CRDs', `${name}.etcdguardian.io doesn't serve v1alpha1`, INSTALL)];
    const conditions = crd.status?.conditions ?? [];
    if (conditions.some(({ type, status }) => type === 'Established' && status === 'True')) return [];
    const hint = `kubectl describe crd ${name}.etcdguardian.io tells why.`;
    return [fail('CRDs', `${name}.etcdguardian.io is not established`, hint)];
  });
  return findings.length > 0 ? findings : [ok('CRDs', 'all three are there')];
}

function judgeWebhook(
  check: string,
  configurations: Looked<readonly WebhookConfiguration[]>,
  { trust }: Installation,
): Finding {
  if (!('found' in configurations)) return unknown(check, configurations.problem);
  const webhooks = configurations.found.flatMap(({ webhooks: entries = [] }) => entries);
  if (webhooks.length === 0)
    return warn(
      check,
      'is not registered: only resources in the operator’s own namespace run, and nobody’s rights are judged there',
      `${INSTALL} Where webhook.enabled is false on purpose, this is as wanted.`,
    );
  const lacking = webhooks.filter(({ clientConfig }) => (clientConfig.caBundle ?? '') === '');
  if (lacking.length > 0)
    return fail(
      check,
      `${lacking.map(({ name }) => name).join(', ')} has no caBundle: the API server can't ask it, and refuses our resources`,
      'The control plane writes it within seconds: does a replica lead, and has the configuration the label app.kubernetes.io/name=etcdguardian?',
    );
  const trusted = foundOf(trust)?.data?.['ca.crt'];
  const other = webhooks.filter(({ clientConfig: { caBundle = '' } }) => {
    return trusted !== undefined && Buffer.from(caBundle, 'base64').toString().trim() !== trusted.trim();
  });
  if (other.length > 0)
    return fail(
      check,
      `the caBundle of ${other.map(({ name }) => name).join(', ')} is not what ConfigMap etcdguardian-trust says`,
      'The control plane keeps it current: does a replica lead? Does something else (GitOps) write it back? Have that leave caBundle alone.',
    );
  const open = webhooks.filter(
    ({ name, failurePolicy }) => failurePolicy === 'Ignore' && !SHIPPED_OPEN.includes(name),
  );
  if (open.length > 0)
    return warn(
      check,
      `${open.map(({ name }) => name).join(', ')} is passed over when it doesn't answer (failurePolicy Ignore)`,
      'Set it to Fail, as it is shipped: what is not stamped runs nowhere but in the operator’s namespace.',
    );
  return ok(check, 'is registered, and the API server trusts it');
}

function judgePolicies({ policies, bound }: Installation): Finding {
  const check = 'admission policies';
  if (!('found' in policies)) return unknown(check, policies.problem);
  if (policies.found === undefined)
    return ok(check, 'this API server has none (before 1.30); the webhook enforces everything by itself');
  const missing = POLICY_NAMES.filter((name) => policies.found?.includes(name) !== true);
  if (missing.length > 0)
    return warn(
      check,
      `${missing.join(', ')} ${missing.length === 1 ? 'is' : 'are'} not there: no floor under the webhook`,
      `${INSTALL} Where webhook.policies is false on purpose, this is as wanted.`,
    );
  const names = foundOf(bound);
  const loose = POLICY_NAMES.filter((name) => names !== undefined && !names.includes(name));
  if (loose.length > 0) return fail(check, `${loose.join(', ')} is bound to nothing`, INSTALL);
  return ok(check, 'are there and bound');
}
