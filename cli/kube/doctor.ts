import { Command } from 'commander';
import { EXIT_CODES } from '../exit-code.ts';
import { parseCount, parseDuration } from '../option-values.ts';
import { counted, print } from '../output.ts';
import { reporting, withReportOptions, type ReportOptions } from '../report-options.ts';
import type { Session } from '../session.ts';
import { askAgents } from './doctor/ask-agents.ts';
import { checkStore } from './doctor/check-store.ts';
import { type Finding, unknown } from './doctor/finding.ts';
import { judgeAdmission } from './doctor/judge-admission.ts';
import { type BackupLimits, judgeBackups, lastGood } from './doctor/judge-backups.ts';
import { judgeCertificates } from './doctor/judge-certificates.ts';
import { judgeProcesses } from './doctor/judge-processes.ts';
import { judgeServer } from './doctor/judge-server.ts';
import {
  type Installation,
  type InstallationOptions,
  readInstallation,
  withInstallationOptions,
} from './installation.ts';
import { connectWith, withKubeOptions, type KubeOptions } from './kube-options.ts';
import { foundOf, look } from './looked.ts';

interface Options extends KubeOptions, InstallationOptions, ReportOptions {
  readonly maxAge: string;
  readonly credentials?: string;
  readonly agentPort: string;
  readonly ignoreBackups?: boolean;
}

export function kubeDoctorCommand(session: Session): Command {
  const command = new Command('doctor')
    .summary('looks at everything that backups and restores depend on, and says what to do')
    .description(
      `Changes nothing. Looks at etcd, the API server and its clock, CRDs, webhooks and
policies, the leader, pods, agents, certificates, the last good backup,
schedules and the store, as far as you may see them; with --credentials it asks
each agent itself. Ends with 1 when something is wrong, 6 when the API server
can't be reached.`,
    )
    .option('--max-age <duration>', 'how old the last good backup of the whole cluster may be', '26h')
    .option(
      '--credentials <folder>',
      'a break-glass identity of "etcdguardian pki issue", to ask the agents themselves',
    )
    .option('--agent-port <port>', "the agents' port", '9640')
    .option('--ignore-backups', 'right after an installation, when there is no backup yet');
  withInstallationOptions(command);
  return withReportOptions(withKubeOptions(command)).action(async (options: Options) => {
    await examine(session, options);
  });
}

async function examine(session: Session, options: Options): Promise<void> {
  const { terminal, clock } = session;
  const { signal } = terminal;
  const report = reporting(session, options);
  const limits = { maxAgeMs: parseDuration(options.maxAge, '--max-age') };
  const agentPort = parseCount(options.agentPort, '--agent-port');
  using kube = await connectWith(session, options);
  const installation = await readInstallation(kube.client, options, clock, signal);
  const findings =
    'found' in installation.server
      ? judgeAll(installation, limits, options.ignoreBackups === true, clock())
      : judgeServer(installation, clock());
  if ('found' in installation.server) {
    const { systemNamespace, credentials } = options;
    const backups = foundOf(installation.backups) ?? [];
    if (options.ignoreBackups !== true)
      findings.push(await checkStore(kube.client, lastGood(backups), { systemNamespace, clock, signal }));
    if (credentials !== undefined) {
      const asking = { credentials, port: agentPort, clock, signal };
      const asked = await look(askAgents(foundOf(installation.pods) ?? [], asking));
      findings.push(...('found' in asked ? asked.found : [unknown('agents themselves', asked.problem)]));
    }
  }
  const verdict = verdictOf(findings);
  print(terminal, report.format, { verdict, findings }, () => findingsText(findings));
  if (!('found' in installation.server)) session.exitCode = EXIT_CODES.unreachable;
  else if (verdict === 'fail') session.exitCode = EXIT_CODES.failed;
}

/** Everything that follows from what the API server has. No clock, no network. */
export function judgeAll(
  installation: Installation,
  limits: BackupLimits,
  ignoreBackups: boolean,
  now: Date,
): Finding[] {
  return [
    ...judgeServer(installation, now),
    ...judgeAdmission(installation),
    ...judgeProcesses(installation, now),
    ...judgeCertificates(installation, now),
    ...(ignoreBackups ? [] : judgeBackups(installation, limits, now)),
  ];
}

function verdictOf(findings: readonly Finding[]): Finding['state'] {
  return (['fail', 'warn'] as const).find((state) => findings.some((one) => one.state === state)) ?? 'ok';
}

const MARKS = { ok: ' ok ', warn: 'WARN', fail: 'FAIL', unknown: ' ?? ' } as const;

/** A line for each, with what to do below those that need something; the result last, where the eye is. */
export function findingsText(findings: readonly Finding[]): string {
  const width = Math.max(0, ...findings.map(({ check }) => check.length));
  const lines = findings.map(({ check, state, message, hint }) => {
    const todo = hint === undefined || state === 'ok' ? '' : `\n      what to do: ${hint}`;
    return `${MARKS[state]}  ${check.padEnd(width)}  ${message}${todo}\n`;
  });
  const number = (state: Finding['state']): number => findings.filter((one) => one.state === state).length;
  const parts = [
    number('fail') > 0 ? `${counted(number('fail'), 'thing')} WRONG` : 'nothing wrong',
    ...(number('warn') > 0 ? [counted(number('warn'), 'warning')] : []),
    ...(number('unknown') > 0 ? [`${number('unknown')} not looked at`] : []),
  ];
  return `${lines.join('')}${parts.join(', ')}\n`;
}
