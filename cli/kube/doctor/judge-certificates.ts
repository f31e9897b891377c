import type { X509Certificate } from 'node:crypto';
import { type GuardianError, hasCode, reasonOf } from '../../../lib/guardian-error.ts';
import { parseAuthorityCertificate } from '../../../lib/pki/authority.ts';
import { fromSecretData } from '../../../lib/pki/authority-bundle.ts';
import { parseCredentials } from '../../../lib/pki/credentials.ts';
import { splitPem } from '../../../lib/pki/pem.ts';
import { duration } from '../../output.ts';
import type { Installation } from '../installation.ts';
import { fail, type Finding, ok, unknown, warn } from './finding.ts';

const DAY_MS = 86_400_000;

/** The authority, whom peers trust, and the webhook's certificate. Those of agents are asked for over the wire. */
export function judgeCertificates(installation: Installation, now: Date): Finding[] {
  return [judgeTrust(installation, now), judgeAuthority(installation), judgeWebhookTls(installation, now)];
}

function judgeTrust({ trust, namespace }: Installation, now: Date): Finding {
  const check = 'authority';
  if (!('found' in trust)) return unknown(check, trust.problem);
  const pem = trust.found?.data?.['ca.crt'];
  if (pem === undefined)
    return fail(
      check,
      `ConfigMap ${namespace}/etcdguardian-trust is not there: no agent can enrol`,
      'The control plane makes it when it first leads: kubectl logs deploy/etcdguardian-controlplane tells why not.',
    );
  try {
    const certificates = splitPem(pem).map((one) =>
      parseAuthorityCertificate(one, 'ConfigMap etcdguardian-trust'),
    );
    const ends = certificates.map(({ validToDate }) => validToDate.getTime());
    const last = Math.max(...ends);
    if (last <= now.getTime())
      return fail(
        check,
        `it has ended on ${new Date(last).toISOString()}`,
        'Delete Secret and ConfigMap of the authority: a new one is made, and agents enrol again.',
      );
    if (last - now.getTime() < 90 * DAY_MS)
      return warn(
        check,
        `it ends on ${new Date(last).toISOString()}`,
        'The control plane rotates it by itself: does a replica lead?',
      );
    const rotation = certificates.length > 1 ? `, ${certificates.length} are trusted during a rotation` : '';
    return ok(check, `is good until ${day(new Date(last))}${rotation}`);
  } catch (error) {
    return fail(
      check,
      reasonOf(error),
      'Put ConfigMap etcdguardian-trust back, or delete it: the control plane writes it again.',
    );
  }
}

function judgeAuthority({ authority, cluster, namespace }: Installation): Finding {
  const check = 'authority Secret';
  if (!('found' in authority)) return unseen(check, authority.problem);
  if (authority.found === undefined)
    return fail(
      check,
      `Secret ${namespace}/etcdguardian-authority is not there`,
      'Put it back from a copy; otherwise the control plane makes a new authority only when ConfigMap etcdguardian-trust is deleted too.',
    );
  try {
    const { scope } = fromSecretData(
      authority.found.data ?? {},
      `Secret ${namespace}/etcdguardian-authority`,
    ).signer;
    if ('found' in cluster && scope.cluster !== cluster.found)
      return fail(
        check,
        `it is of another cluster, ${scope.cluster}`,
        'It was copied from another installation. Put the right one back.',
      );
    return ok(check, 'fits this cluster; keep a copy of it off the cluster, for break-glass identities');
  } catch (error) {
    return fail(check, reasonOf(error), 'Put the Secret back as it was, from a copy.');
  }
}

function judgeWebhookTls({ webhookTls, namespace }: Installation, now: Date): Finding {
  const check = "webhook's certificate";
  if (!('found' in webhookTls)) return unseen(check, webhookTls.problem);
  const secret = webhookTls.found;
  if (secret === undefined)
    return fail(
      check,
      `Secret ${namespace}/etcdguardian-webhook-tls is not there: the webhook's pods can't start`,
      'The control plane writes it: does a replica lead?',
    );
  const text = (name: string): string => Buffer.from(secret.data?.[name] ?? '', 'base64').toString();
  try {
    const { certificate } = parseCredentials(
      { cert: text('tls.crt'), key: text('tls.key'), ca: text('ca.crt') },
      `Secret ${namespace}/etcdguardian-webhook-tls`,
    );
    return judgeLife(check, certificate, now);
  } catch (error) {
    return fail(
      check,
      reasonOf(error),
      'Delete the Secret: the control plane writes a new one within seconds.',
    );
  }
}

/** Renewal is at two thirds of a life, a tenth of it earlier or later; what is beyond that was missed. */
export function judgeLife(
  check: string,
  { validFromDate, validToDate }: Pick<X509Certificate, 'validFromDate' | 'validToDate'>,
  now: Date,
): Finding {
  const left = validToDate.getTime() - now.getTime();
  const hint = 'The control plane renews it by itself: does a replica lead, and are the clocks right?';
  if (left <= 0) return fail(check, `has expired on ${validToDate.toISOString()}`, hint);
  const life = validToDate.getTime() - validFromDate.getTime();
  if (left < life * 0.2)
    return warn(check, `ends in ${duration(left)} and should have been renewed by now`, hint);
  return ok(check, `is good until ${day(validToDate)}`);
}

/** Nobody but administrators should be able to. */
function unseen(check: string, problem: GuardianError): Finding {
  if (!hasCode(problem, 'kubernetes.forbidden')) return unknown(check, problem);
  return {
    check,
    state: 'unknown',
    message: 'not looked at: you may not read that Secret, which is as it should be',
  };
}

function day(date: Date): string {
  return date.toISOString().slice(0, 10);
}
