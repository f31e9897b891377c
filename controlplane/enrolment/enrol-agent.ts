import { z } from 'zod';
import type { AuditLog } from '../../lib/audit-log.ts';
import type { Clock } from '../../lib/clock.ts';
import { GuardianError } from '../../lib/guardian-error.ts';
import { trustPem } from '../../lib/pki/authority-bundle.ts';
import { requestedKey } from '../../lib/pki/certificate-request.ts';
import { issueCertificate } from '../../lib/pki/issue-certificate.ts';
import type { CertificateKeeper } from '../certificates/certificate-keeper.ts';
import type { ControlPlaneMetrics } from '../metrics.ts';
import { identifyAgent, type IdentifyAgentTools } from './identify-agent.ts';
import type { SenderLimit } from './sender-limit.ts';

export interface EnrolmentTools extends IdentifyAgentTools {
  readonly keeper: CertificateKeeper;
  readonly clock: Clock;
  readonly audit: AuditLog;
  readonly metrics: ControlPlaneMetrics;
  /** By pod, so that one that got lost in a loop costs nobody else anything. */
  readonly issues: SenderLimit;
}

/** What an agent gets: its certificate, and whom to trust, in PEM. */
export interface Enrolment {
  readonly cert: string;
  readonly ca: string;
}

const Request = z.strictObject({
  csr: z
    .string()
    .min(1)
    .max(8 * 1024),
  token: z
    .string()
    .min(1)
    .max(12 * 1024),
  /** Where the agent thinks that it is, so that a mix-up is told and not certified. */
  node: z.string().max(253).optional(),
});

/**
 * One enrolment, or a renewal, which is the same. Rejects with `controlplane.enrolment-request` (400), and as
 * `identifyAgent`, `requestedKey` and `issueCertificate` do. The certificate's name is the node of the sender's pod,
 * whatever the request says. Audited either way.
 */
export async function enrolAgent(
  tools: EnrolmentTools,
  body: unknown,
  from: string,
  signal?: AbortSignal,
): Promise<Enrolment> {
  const { audit, metrics, keeper } = tools;
  let resource = { kind: 'Node', name: '' };
  try {
    const { csr, token, node: claimed } = parseRequest(body);
    const { bundle } = keeper;
    if (bundle === undefined) await keeper.current();
    if (bundle === undefined)
      throw new GuardianError('controlplane.no-authority', 'no authority is known yet');

    // 1. Who asks?
    const { node, podName, podUid } = await identifyAgent(tools, token, signal);
    resource = { kind: 'Node', name: node };
    if (claimed !== undefined && claimed !== node) {
      throw new GuardianError(
        'controlplane.enrolment-denied',
        `pod ${podName} is on node ${node}, and asks for a certificate of ${claimed}`,
        { hint: 'Set ETCDGUARDIAN_NODE of the agent from spec.nodeName of its pod.' },
      );
    }
    tools.issues.take(podUid);

    // 2. A certificate for that node, and the key of the request.
    const certificate = issueCertificate(bundle.signer, {
      identity: { cluster: bundle.signer.scope.cluster, role: 'agent', node },
      publicKey: requestedKey(csr),
      now: tools.clock(),
    });
    metrics.enrolments.inc({ result: 'issued' });
    const message = `a certificate until ${certificate.validToDate.toISOString()} for pod ${podName}, from ${from}`;
    audit({ who: sender(tools), what: 'enrol', resource, result: 'succeeded', operation: podUid, message });
    return { cert: certificate.toString(), ca: trustPem(bundle) };
  } catch (error) {
    const isOurs = !(error instanceof GuardianError) || error.code.startsWith('kubernetes.');
    metrics.enrolments.inc({ result: isOurs ? 'failed' : 'denied' });
    audit({
      ...{ who: sender(tools), what: 'enrol', resource, result: isOurs ? 'failed' : 'denied' },
      reason: error instanceof GuardianError ? error.code : 'controlplane.failed',
      message: `enrolment from ${from}: ${error instanceof Error ? error.message : String(error)}`,
    });
    throw error;
  }
}

function parseRequest(body: unknown): z.output<typeof Request> {
  const parsed = Request.safeParse(body);
  if (parsed.success) return parsed.data;
  const what = parsed.error.issues.map(({ path, message }) => `${path.join('.')}: ${message}`).join('; ');
  throw new GuardianError(
    'controlplane.enrolment-request',
    `the request can't be read: ${what.slice(0, 500)}`,
    {
      hint: 'Agent and control plane must be of the same version: finish the upgrade.',
    },
  );
}

function sender({ namespace, settings }: EnrolmentTools) {
  return { username: `system:serviceaccount:${namespace}:${settings.agentServiceAccount}` };
}
