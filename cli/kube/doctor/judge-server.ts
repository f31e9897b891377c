import { duration } from '../../output.ts';
import type { Installation } from '../installation.ts';
import { fail, type Finding, ok, unknown, warn } from './finding.ts';

/** The API server, the etcd under it, and the clocks. */
export function judgeServer({ server, cluster, lease }: Installation, now: Date): Finding[] {
  if (!('found' in server)) {
    const { message, hint = 'Is the cluster up, and is this its kubeconfig?' } = server.problem;
    return [fail('API server', message, hint)];
  }
  const { url, version, user, clockAheadMs } = server.found;
  const findings: Finding[] = [ok('API server', `${version} at ${url}, seen as ${user}`)];

  // What the API server reads from etcd, it reads with a quorum.
  if ('found' in cluster) findings.push(ok('etcd', `answers the API server; cluster ${cluster.found}`));
  else if (cluster.problem.code === 'kubernetes.forbidden') findings.push(unknown('etcd', cluster.problem));
  else
    findings.push(
      fail(
        'etcd',
        `the API server can't read from it: ${cluster.problem.message}`,
        'Look at etcd on the control-plane nodes: does it run, has it a leader, is its disk full?',
      ),
    );

  const renewed = 'found' in lease ? lease.found?.spec?.renewTime : undefined;
  const early = renewed === undefined ? 0 : Date.parse(renewed) - now.getTime() - (clockAheadMs ?? 0);
  if (clockAheadMs === undefined)
    findings.push({ check: 'clock', state: 'unknown', message: 'this API server does not tell its time' });
  else if (Math.abs(clockAheadMs) > CLOCK_LIMIT_MS)
    findings.push(
      warn(
        'clock',
        `this machine's clock is ${duration(Math.abs(clockAheadMs))} ${clockAheadMs < 0 ? 'ahead of' : 'behind'} the API server's`,
        'One of both is wrong: check NTP here and there. Certificates and times of backups depend on it.',
      ),
    );
  else if (early > CLOCK_LIMIT_MS)
    findings.push(
      fail(
        'clock',
        `the control plane's clock is ${duration(early)} ahead of the API server's`,
        'Check NTP on the nodes of the control plane and of the API servers.',
      ),
    );
  else findings.push(ok('clock', 'here, at the API server and at the control plane it is the same time'));
  return findings;
}

/** As for agents: certificates are issued two hours back, but times of backups are believed. */
const CLOCK_LIMIT_MS = 60_000;
