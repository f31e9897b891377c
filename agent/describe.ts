import { statfs } from 'node:fs/promises';
import type { Description, EtcdFound } from '../lib/agent-api/description.ts';
import type { Sent } from '../lib/agent-api/fields.ts';
import type { CaptureState, TaskState } from '../lib/agent-api/task-messages.ts';
import type { Problem } from '../lib/agent-api/request-parts.ts';
import type { RestoreState } from '../lib/agent-api/restore-messages.ts';
import type { Clock } from '../lib/clock.ts';
import { GuardianError } from '../lib/guardian-error.ts';
import type { CredentialSource } from '../lib/pki/credential-folder.ts';
import { VERSION } from '../lib/program-version.ts';
import { problemOf } from './errors-on-wire.ts';
import type { ConnectedEtcd, LocalEtcd } from './etcd/local-etcd.ts';
import type { AgentSettings } from './settings.ts';
import type { TermKeeper } from './state/term-keeper.ts';

export interface DescribedAgent {
  readonly settings: AgentSettings;
  /** Changes with each start. */
  readonly instance: string;
  readonly clock: Clock;
  readonly terms: Pick<TermKeeper, 'term' | 'holder' | 'operation'>;
  readonly etcd: LocalEtcd;
  readonly credentials: CredentialSource;
  readonly tasks: () => readonly TaskState[];
  readonly captures: () => readonly Sent<CaptureState>[];
  readonly restores: () => readonly Sent<RestoreState>[];
}

/** Everything that someone far away must know of this node. What can't be found out is among the problems. */
export async function describeAgent(agent: DescribedAgent, signal?: AbortSignal): Promise<Sent<Description>> {
  const { settings, terms, credentials, clock } = agent;
  const problems: Problem[] = [];
  const etcd = await agent.etcd.current().catch((error: unknown) => {
    problems.push(problemOf(error));
    return undefined;
  });
  const { certificate } = await credentials.current();
  if (credentials.complaint !== undefined) problems.push(problemOf(notRenewed(credentials.complaint)));
  return {
    node: settings.node,
    version: VERSION,
    instance: agent.instance,
    term: terms.term,
    termHolder: terms.holder,
    termOperation: terms.operation,
    timeMs: clock().getTime(),
    etcd: etcd && (await describeEtcd(etcd, signal)),
    problems,
    certificateEndsMs: certificate.validToDate.getTime(),
    tasks: agent.tasks(),
    captures: agent.captures(),
    restores: agent.restores(),
    hooksAllowed: settings.hooks,
    attachmentsAllowed: settings.attachments,
    architecture: process.arch,
  };
}

/** An etcd that hangs must not hang this. */
const ETCD_TIMEOUT_MS = 3_000;

async function describeEtcd(
  { place, client }: ConnectedEtcd,
  signal?: AbortSignal,
): Promise<Sent<EtcdFound>> {
  const known: Sent<EtcdFound> = {
    ...{ runsAs: place.runsAs, runsFrom: place.runsFrom, name: place.name },
    ...{ dataDir: place.dataDir, walDir: place.walDir, initialCluster: place.initialCluster },
    clientUrls: place.client.endpoints,
    peerUrls: place.peerUrls,
    apiServers: place.apiServers,
    dataDiskFree: await freeBytes(place.dataDir),
    walDiskFree: await freeBytes(place.walDir === '' ? place.dataDir : place.walDir),
  };
  try {
    const options = { signal, timeoutMs: ETCD_TIMEOUT_MS };
    const status = await client.status(client.endpoints[0] ?? '', options);
    const { members } = await client.members(options);
    const { header } = status;
    return {
      ...known,
      ...{ version: status.version, clusterId: header.clusterId, memberId: header.memberId },
      ...{ isLeader: status.isLeader, isLearner: status.isLearner, revision: header.revision },
      ...{ dbSize: status.dbSize, dbSizeInUse: status.dbSizeInUse, dbSizeQuota: status.dbSizeQuota ?? 0 },
      name: members.find(({ id }) => id === header.memberId)?.name ?? place.name,
      alarms: status.alarms.map(({ kind, memberId }) => `${kind} ${memberId.toString(16)}`),
      members,
    };
  } catch (error) {
    signal?.throwIfAborted();
    return { ...known, unreachable: problemOf(error) };
  }
}

/** 0 where it isn't known. */
async function freeBytes(folder: string): Promise<number> {
  if (folder === '') return 0;
  try {
    const { bavail, bsize } = await statfs(folder);
    return bavail * bsize;
  } catch {
    return 0;
  }
}

function notRenewed(complaint: string): GuardianError {
  return new GuardianError('agent.credentials', `the agent's own certificate isn't renewed: ${complaint}`, {
    hint: 'It goes on with the one it has until that ends; see the log of the control plane about enrolment.',
    retryable: true,
  });
}
