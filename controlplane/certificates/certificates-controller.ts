import { reasonOf } from '../../lib/guardian-error.ts';
import { errorText } from '../../lib/log-lines.ts';
import { trustPem } from '../../lib/pki/authority-bundle.ts';
import type { Again, Controller } from '../controller.ts';
import type { Secret } from '../core-resources.ts';
import type { EventTarget } from '../object-events.ts';
import { RepeatedFailures } from '../repeated-failures.ts';
import type { ControlPlaneTools } from '../tools.ts';
import { advanceRotation } from './advance-rotation.ts';
import type { AuthorityStore, StoredAuthority } from './authority-store.ts';
import type { CertificateKeeper } from './certificate-keeper.ts';
import { agentTrust, expiringCertificates } from './peer-trust.ts';
import type { SigningKeeper } from './signing-keeper.ts';
import { keepTrustMap, readTrustMap } from './trust-map.ts';
import { keepWebhookCertificate } from './webhook-certificate.ts';
import { keepCaBundles } from './webhook-configurations.ts';

/** What of the tools is needed here. */
export type CertificatesSurroundings = Pick<
  ControlPlaneTools,
  'kube' | 'namespace' | 'settings' | 'clock' | 'log' | 'audit' | 'events' | 'metrics' | 'credentials'
> & { readonly agents: Pick<ControlPlaneTools['agents'], 'list'> };

export interface CertificatesTools {
  readonly store: AuthorityStore;
  readonly keeper: CertificateKeeper;
  readonly signing: SigningKeeper;
}

/** Its only key. */
const KEY = 'certificates';
const LOOK_AGAIN_MS = 15_000;

/**
 * Keeps what others need to know whom to trust: the authority and its rotation, the webhook's certificate, the trust
 * ConfigMap, the signing keys, the caBundle of the webhook configurations.
 */
export function certificatesController(
  tools: CertificatesSurroundings,
  { store, keeper, signing }: CertificatesTools,
): Controller {
  const { kube, namespace, settings, clock } = tools;
  const warned = new RepeatedFailures(() => performance.now());
  let waitedFor = '';

  const keepAuthority = async (signal: AbortSignal): Promise<StoredAuthority> => {
    try {
      const { made, ...stored } = await store.open(keeper.bundle, signal);
      keeper.learn(stored.bundle);
      if (made === 'put-back') {
        const text = `the Secret with our certificate authority was deleted; it is put back from memory. To replace the authority, annotate the Secret with etcdguardian.io/rotate`;
        tell('warning', 'AuthorityPutBack', text, stored.secret);
      }
      if (made === 'created') tell('normal', 'AuthorityCreated', 'our certificate authority', stored.secret);
      return stored;
    } catch (error) {
      keeper.complain(reasonOf(error));
      const about = { metadata: { name: settings.authoritySecret, namespace } };
      if (!signal.aborted) tools.events.warning(secretTarget(about), 'AuthorityUnusable', errorText(error));
      throw error;
    }
  };

  const tell = (how: 'normal' | 'warning', reason: string, text: string, secret: Secret): void => {
    tools.events[how](secretTarget(secret), reason, text);
    tools.log.write(how === 'normal' ? 'info' : 'warning', 'authority', text, { reason });
    tools.audit({
      ...{ who: undefined, what: reason, result: 'succeeded', message: text },
      resource: { kind: 'Secret', namespace, name: secret.metadata.name, uid: secret.metadata.uid },
    });
  };

  const warnOfExpiry = (now: Date): void => {
    for (const agent of tools.agents.list()) {
      const ends = agent.description?.certificateEndsMs ?? 0;
      if (ends > 0) tools.metrics.certificateEnds.set({ of: `agent/${agent.node}` }, ends / 1000);
    }
    for (const { agent, ends, expired } of expiringCertificates(tools.agents.list(), now)) {
      const when = `${expired ? 'ended' : 'ends'} at ${ends.toISOString()}`;
      const text = `the certificate of the agent of ${agent.node} ${when}, and it was not renewed: look at the agent's log`;
      if (warned.count(agent.node, when) === undefined) continue;
      tools.log.write('warning', 'certificate-expiring', text, { node: agent.node });
      const metadata = { name: agent.podName, namespace, uid: agent.podUid };
      const about: EventTarget = { apiVersion: 'v1', kind: 'Pod', metadata };
      tools.events.warning(about, expired ? 'CertificateExpired' : 'CertificateExpiring', text);
    }
  };

  const reconcile = async (_key: string, signal: AbortSignal): Promise<Again> => {
    const trustMap = { namespace, name: settings.trustConfigMap };
    const now = clock();

    // 1. The authority itself: without it nothing else can be told.
    const stored = await keepAuthority(signal);
    const ca = trustPem(stored.bundle);

    // 2. Everyone hears of all authorities, before any of them begins to issue.
    await keepTrustMap(kube, trustMap, { 'ca.crt': ca }, signal);
    const service = { namespace, name: settings.webhookService };
    for (const name of await keepCaBundles(kube, settings.webhookConfigurations, service, ca, signal))
      tools.log.write('info', 'ca-bundle', `${name} trusts our authorities now`, { configuration: name });
    const webhook = await keepWebhookCertificate(
      kube,
      {
        reference: { namespace, name: settings.webhookTlsSecret },
        dnsName: `${settings.webhookService}.${namespace}.svc`,
        bundle: stored.bundle,
        now,
      },
      signal,
    );
    if (webhook.renewed !== undefined) {
      const text = `the webhook has a new certificate until ${webhook.ends.toISOString()}: ${webhook.renewed}`;
      tools.log.write('info', 'webhook-certificate', text, { ends: webhook.ends });
    }

    // 3. The rotation, by what is known of those who have to trust the next one.
    const peers = agentTrust(tools.agents.list(), stored.bundle);
    const rotation = await advanceRotation(store, stored, peers, now, signal);
    keeper.learn(rotation.stored.bundle);
    if (rotation.done !== undefined)
      tell('normal', rotation.done.reason, rotation.done.message, rotation.stored.secret);
    const waitingFor = rotation.waitingFor.join(', ');
    if (waitingFor !== waitedFor && waitingFor !== '')
      tools.log.write('info', 'rotation-waits', `the next authority waits for the ${waitingFor}`);
    waitedFor = waitingFor;

    // 4. Who signs backups that aren't encrypted.
    const published = (await readTrustMap(kube, trustMap, signal))?.['signer.pem'];
    const { publicPem, made } = await signing.open(published, signal);
    if (made !== undefined)
      tools.log.write('info', 'signing-key', `the Secret with the signing keys was ${made}`, { made });
    await keepTrustMap(
      kube,
      trustMap,
      { 'ca.crt': trustPem(rotation.stored.bundle), 'signer.pem': publicPem },
      signal,
    );

    // 5. What ends when.
    const { certificateEnds } = tools.metrics;
    const signerEnds = rotation.stored.bundle.signer.certificate.validToDate;
    certificateEnds.set({ of: 'authority' }, signerEnds.getTime() / 1000);
    certificateEnds.set({ of: 'webhook' }, webhook.ends.getTime() / 1000);
    const own = await tools.credentials.current();
    certificateEnds.set({ of: 'control-plane' }, own.certificate.validToDate.getTime() / 1000);
    warnOfExpiry(now);
    if (rotation.done !== undefined) return { afterMs: 0 };
    const next = Math.min(rotation.until.getTime(), webhook.renews.getTime()) - now.getTime();
    return { afterMs: Math.max(1_000, Math.min(LOOK_AGAIN_MS, next)) };
  };

  return {
    ...{ name: 'certificates', workers: 1, reconcile },
    start(queue) {
      queue.add(KEY);
      return Promise.resolve();
    },
  };
}

function secretTarget(secret: Pick<Secret, 'metadata'>): EventTarget {
  const { name, namespace, uid } = secret.metadata;
  const metadata = {
    name,
    ...(namespace === undefined ? {} : { namespace }),
    ...(uid === undefined ? {} : { uid }),
  };
  return { apiVersion: 'v1', kind: 'Secret', metadata };
}
