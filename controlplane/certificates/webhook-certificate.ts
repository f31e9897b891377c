import { createPublicKey } from 'node:crypto';
import { hasCode, reasonOf } from '../../lib/guardian-error.ts';
import type { KubeClient, KubeReference } from '../../lib/kubernetes/kube-client.ts';
import { type AuthorityBundle, trustedAuthorities, trustPem } from '../../lib/pki/authority-bundle.ts';
import { type Credentials, parseCredentials } from '../../lib/pki/credentials.ts';
import { issueCertificate } from '../../lib/pki/issue-certificate.ts';
import { createKey, privateKeyPem } from '../../lib/pki/key-pair.ts';
import { peerIdentity } from '../../lib/pki/peer-identity.ts';
import { renewalTime } from '../../lib/pki/renewal.ts';
import { dnsNames } from '../../lib/pki/subject-alternative-names.ts';
import { verifyCertificate } from '../../lib/pki/verify-certificate.ts';
import { base64, fromBase64, OUR_LABELS, type Secret, SECRETS } from '../core-resources.ts';

export interface WebhookCertificateOrder {
  readonly reference: Pick<KubeReference, 'namespace' | 'name'>;
  /** Of the webhook's Service. */
  readonly dnsName: string;
  readonly bundle: AuthorityBundle;
  readonly now: Date;
}

export interface KeptCertificate {
  readonly ends: Date;
  readonly renews: Date;
  /** Why another one was issued; undefined when the present one is still good. */
  readonly renewed: string | undefined;
}

/**
 * Keeps the Secret that the webhook mounts: issued by the present signer, with time left, beside all authorities. Nobody
 * trusts this certificate for itself, so whatever else stands in the Secret is replaced.
 */
export async function keepWebhookCertificate(
  kube: KubeClient,
  order: WebhookCertificateOrder,
  signal?: AbortSignal,
): Promise<KeptCertificate> {
  const reference = { resource: SECRETS, ...order.reference };
  const secret = await kube.get<Secret>(reference, { signal }).catch((error: unknown) => {
    if (hasCode(error, 'kubernetes.not-found')) return undefined;
    throw error;
  });
  const judged = judge(secret, order);
  if (typeof judged !== 'string') {
    const { certificate } = judged;
    return { ends: certificate.validToDate, renews: renewalTime(certificate), renewed: undefined };
  }
  const { texts, certificate } = await issue(order);
  if (secret === undefined) {
    const object = { metadata: { name: reference.name, labels: OUR_LABELS }, type: 'Opaque', data: texts };
    await kube.create(
      SECRETS,
      reference.namespace,
      { apiVersion: 'v1', kind: 'Secret', ...object },
      { signal },
    );
  } else {
    const { resourceVersion } = secret.metadata;
    await kube.mergePatch(reference, { metadata: { resourceVersion }, data: texts }, { signal });
  }
  return { ends: certificate.validToDate, renews: renewalTime(certificate), renewed: judged };
}

/** What is good as it is; else why it isn't. */
function judge(secret: Secret | undefined, order: WebhookCertificateOrder): Credentials | string {
  const { bundle, now, dnsName } = order;
  if (secret === undefined) return 'there was none';
  try {
    const text = (name: string): string => fromBase64(secret.data?.[name] ?? '');
    const credentials = parseCredentials(
      { cert: text('tls.crt'), key: text('tls.key'), ca: text('ca.crt') },
      `Secret ${secret.metadata.name}`,
    );
    const { certificate } = credentials;
    if (text('ca.crt') !== trustPem(bundle)) return 'the authorities have changed';
    const issuer = verifyCertificate(certificate, {
      ...{ authorities: trustedAuthorities(bundle), now, usage: 'server' },
    });
    if (issuer.fingerprint256 !== bundle.signer.certificate.fingerprint256)
      return 'another authority issues now';
    if (peerIdentity(certificate).role !== 'webhook' || dnsNames(certificate)?.includes(dnsName) !== true)
      return `it was not for ${dnsName}`;
    return renewalTime(certificate) > now ? credentials : 'its time came';
  } catch (error) {
    return reasonOf(error);
  }
}

async function issue({ bundle, dnsName, now }: WebhookCertificateOrder) {
  const key = await createKey();
  const certificate = issueCertificate(bundle.signer, {
    identity: { cluster: bundle.signer.scope.cluster, role: 'webhook' },
    publicKey: createPublicKey(key),
    dnsNames: [dnsName],
    now,
  });
  const texts = {
    'tls.crt': base64(certificate.toString()),
    'tls.key': base64(privateKeyPem(key)),
    'ca.crt': base64(trustPem(bundle)),
  };
  return { certificate, texts };
}
