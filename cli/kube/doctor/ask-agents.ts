import { connectAgent } from '../../../lib/agent-api/agent-client.ts';
import type { Description } from '../../../lib/agent-api/description.ts';
import type { Clock } from '../../../lib/clock.ts';
import { GuardianError } from '../../../lib/guardian-error.ts';
import { credentialFolder, type CredentialSource } from '../../../lib/pki/credential-folder.ts';
import { bytes, count, duration } from '../../output.ts';
import type { Pod } from '../installed-resources.ts';
import { componentOf } from './judge-processes.ts';
import { fail, type Finding, ok, warn } from './finding.ts';

export interface AskAgents {
  /** A break-glass identity, as `pki issue` makes it. */
  readonly credentials: string;
  readonly port: number;
  readonly clock: Clock;
  readonly signal: AbortSignal;
}

/** Asks each agent itself, at its node's address, what it sees of its etcd. */
export async function askAgents(pods: readonly Pod[], asking: AskAgents): Promise<Finding[]> {
  const credentials = credentialFolder(asking.credentials);
  // Said once, not once for each agent.
  await credentials.current();
  const own = pods.filter((pod) => componentOf(pod) === 'agent');
  const answers = await Promise.all(own.map((pod) => askOne(pod, credentials, asking)));
  return answers.flat();
}

async function askOne(pod: Pod, credentials: CredentialSource, asking: AskAgents): Promise<Finding[]> {
  const { clock, signal, port } = asking;
  const node = pod.spec?.nodeName ?? '';
  const ip = pod.status?.podIP ?? pod.status?.hostIP;
  if (ip === undefined) return [fail(`agent ${node}`, 'its pod has no address', 'Does it run?')];
  const address = ip.includes(':') ? `[${ip}]:${port}` : `${ip}:${port}`;
  const agent = connectAgent({ node, address, credentials, clock });
  try {
    const sentAt = clock().getTime();
    const description = await agent.describe({}, { signal, timeoutMs: 10_000 });
    const now = clock();
    return judgeDescription(description, description.timeMs - (sentAt + now.getTime()) / 2, now);
  } catch (error) {
    signal.throwIfAborted();
    if (!(error instanceof GuardianError)) throw error;
    const { message, hint = 'See its log; is the port of agents open between here and there?' } = error;
    return [fail(`agent ${node}`, message, hint)];
  } finally {
    agent.close();
  }
}

/** What an agent told, in findings. `aheadMs`: its clock minus ours. */
export function judgeDescription(description: Description, aheadMs: number, now: Date): Finding[] {
  const { node, version, certificateEndsMs, etcd, problems } = description;
  const check = `agent ${node}`;
  const findings: Finding[] = [];
  if (certificateEndsMs > 0 && certificateEndsMs - now.getTime() < RENEWAL_MISSED_MS)
    findings.push(
      warn(
        check,
        `its certificate ends on ${new Date(certificateEndsMs).toISOString()} and should have been renewed by now`,
        'Can it reach the control plane’s port 9641? See its log.',
      ),
    );
  if (Math.abs(aheadMs) > 60_000)
    findings.push(
      warn(
        check,
        `its clock is ${duration(Math.abs(aheadMs))} ${aheadMs < 0 ? 'behind' : 'ahead of'} ours`,
        'Check NTP here and there.',
      ),
    );
  for (const { code, message, hint } of problems)
    findings.push(fail(check, `${message} [${code}]`, hint === '' ? 'See its log.' : hint));
  if (findings.length === 0) findings.push(ok(check, `version ${version} answers`));
  if (etcd !== undefined) findings.push(...judgeEtcd(node, etcd));
  return findings;
}

/** A leaf of seven days is renewed at two thirds. */
const RENEWAL_MISSED_MS = 86_400_000;

function judgeEtcd(node: string, etcd: NonNullable<Description['etcd']>): Finding[] {
  const check = `etcd ${node}`;
  if (etcd.unreachable !== undefined)
    return [fail(check, etcd.unreachable.message, etcd.unreachable.hint || 'Look at etcd on that node.')];
  const findings: Finding[] = [];
  for (const alarm of etcd.alarms)
    findings.push(
      fail(
        check,
        `alarm ${alarm}`,
        alarm.includes('NOSPACE')
          ? 'etcd takes no writes: compact, defragment, then disarm the alarm; or raise --quota-backend-bytes.'
          : 'That member’s data is damaged: replace it; don’t back up from it.',
      ),
    );
  if (etcd.dbSizeQuota > 0 && etcd.dbSize > etcd.dbSizeQuota * 0.8)
    findings.push(
      warn(
        check,
        `its database takes ${bytes(etcd.dbSize)} of the ${bytes(etcd.dbSizeQuota)} it may`,
        'Defragment it, or raise --quota-backend-bytes: at the quota it takes no writes any more.',
      ),
    );
  if (etcd.dataDiskFree > 0 && etcd.dataDiskFree < etcd.dbSize * 2)
    findings.push(
      warn(
        check,
        `only ${bytes(etcd.dataDiskFree)} are free on the disk of its data dir`,
        'A restore needs twice the size of the database there: make room.',
      ),
    );
  if (findings.length > 0) return findings;
  const role = etcd.isLearner ? 'learner' : etcd.isLeader ? 'leader' : 'follower';
  return [
    ok(check, `${etcd.version}, ${role}, revision ${count(etcd.revision)}, ${bytes(etcd.dbSize)}, no alarm`),
  ];
}
