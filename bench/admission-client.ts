import { readFile } from 'node:fs/promises';
import { accessReview } from '../lib/kubernetes/rights/right.ts';
import { readNamespace, readSecret } from '../lib/kubernetes/rights/single-rights.ts';
import { customResource, resourcePath, TENANT_BACKUP } from '../test/harness/admission-scene.ts';
import { type LeanConnection, leanConnection, requestBytes } from './lean-requests.ts';
import { openLoop } from './open-loop.ts';

/**
 * The client of the admission benchmark, a process of its own, so that it isn't measured with what it asks. Its argument is a
 * file with `ClientTask`; it writes a `LoopResult` with its own CPU time as JSON.
 */
export interface ClientTask {
  readonly url: string;
  readonly ca: string;
  readonly token: string;
  /** `creations`: dry-run creations of a tenant's backup. `reviews`: what the webhook asks for one of them, without it. */
  readonly what: 'creations' | 'reviews';
  readonly name: string;
  readonly perSecond: number;
  readonly seconds: number;
}

const task = JSON.parse(await readFile(process.argv[2] ?? '', 'utf8')) as ClientTask;
/** Made before anything is measured, since a handshake costs more than a hundred requests. */
const connections = await Promise.all(
  Array.from({ length: 32 }, () => leanConnection(task.url, { ca: task.ca })),
);
const idle = [...connections];
const waiting: ((connection: LeanConnection) => void)[] = [];
const makeRequest = task.what === 'creations' ? creation : reviews;
const cpuBefore = process.cpuUsage();
const result = await openLoop(task.perSecond, task.seconds, async (at) => {
  const statuses = await Promise.all(makeRequest(at).map(send));
  return statuses.every((status) => status < 300);
});
const { user, system } = process.cpuUsage(cpuBefore);
process.stdout.write(JSON.stringify({ ...result, cpuSeconds: (user + system) / 1e6 }));
for (const connection of connections) connection[Symbol.dispose]();

async function send(request: Buffer): Promise<number> {
  const connection = idle.pop() ?? (await new Promise<LeanConnection>((resolve) => waiting.push(resolve)));
  const status = await connection.send(request);
  const next = waiting.shift();
  if (next === undefined) idle.push(connection);
  else next(connection);
  return status;
}

function creation(at: number): Buffer[] {
  const path = `${resourcePath('etcdbackups', 'team-a')}?dryRun=All`;
  const body = customResource('EtcdBackup', `${task.name}-${at}`, TENANT_BACKUP);
  return [requestBytes('POST', path, task.token, body)];
}

/** What `requiredRights` of TENANT_BACKUP are, and the list of namespaces. */
function reviews(): Buffer[] {
  const alice = { username: 'alice', uid: 'uid-of-alice', groups: ['team-a', 'system:authenticated'] };
  const rights = [...readNamespace('team-a'), readSecret('team-a', 'keys', '')];
  return [
    requestBytes('GET', '/api/v1/namespaces?labelSelector=team%3Dteam-a&limit=500', task.token),
    ...rights.map((right) =>
      requestBytes(
        'POST',
        '/apis/authorization.k8s.io/v1/subjectaccessreviews',
        task.token,
        accessReview(alice, right),
      ),
    ),
  ];
}
