import assert from 'node:assert/strict';
import { after, test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { systemClock } from '../lib/clock.ts';
import { serveAgentApi, type AgentHandlers } from '../lib/agent-api/agent-server.ts';
import { GuardianError, hasCode } from '../lib/guardian-error.ts';
import { keepEnrolled } from '../agent/enrol/keep-enrolled.ts';
import { eventually } from '../test/harness/eventually.ts';
import { freePort } from '../test/harness/free-port.ts';
import { KUBE_PROGRAMS } from '../test/harness/kube-apiserver.ts';
import { temporaryFolder } from '../test/harness/temporary-folder.ts';
import { needs } from '../test/harness/tools.ts';
import { writeFile } from 'node:fs/promises';
import { CONFIG_MAPS, type ConfigMap } from './core-resources.ts';
import type { ControllerFactory } from './controllers.ts';
import {
  type Installation,
  type LogLine,
  NAMESPACE,
  recordedLog,
  startInstallation,
} from './installation.fixture.ts';
import { runControlPlane } from './main.ts';
import type { SettingName } from './settings.ts';
import type { ControlPlaneTools } from './tools.ts';

const stack = new AsyncDisposableStack();
after(() => stack.disposeAsync());
let started: Promise<Installation> | undefined;
async function installation(): Promise<Installation> {
  started ??= startInstallation().then((it) => stack.use(it));
  return started;
}

interface Running extends AsyncDisposable {
  readonly lines: LogLine[];
  readonly ports: { pages?: number; enrolment?: number };
  readonly ended: Promise<void>;
  page(path: string): Promise<{ status: number; text: string }>;
  stop(): Promise<void>;
}

const FAST = { retryPeriodMs: '200ms', agentPollMs: '300ms' };
/** Of who is to lose it; nobody else is, however long the machine stands still. */
const SHORT = { leaseDurationMs: '4s', renewDeadlineMs: '2s' };
const LONG = { leaseDurationMs: '10m', renewDeadlineMs: '9m' };
const LEASES = { group: 'coordination.k8s.io', version: 'v1', plural: 'leases' };
const LEASE = { resource: LEASES, namespace: NAMESPACE, name: 'etcdguardian-controlplane' };

function start(
  it: Installation,
  podName: string,
  controllers: readonly ControllerFactory[],
  flags: Partial<Record<SettingName, string>> = {},
): Running {
  const { log, lines } = recordedLog();
  const stopping = new AbortController();
  const ports: { pages?: number; enrolment?: number } = {};
  const ended = runControlPlane(it.settings({ podName, ...FAST, ...LONG, ...flags }), {
    ...{ clock: systemClock, random: Math.random, log, signal: stopping.signal, env: {}, controllers },
    onListening: (listening) => Object.assign(ports, listening),
  });
  ended.catch(() => undefined);
  const stop = async (): Promise<void> => {
    stopping.abort();
    await ended;
  };
  return {
    ...{ lines, ports, ended, stop },
    async page(path) {
      const response = await fetch(`http://127.0.0.1:${ports.pages}${path}`);
      return { status: response.status, text: await response.text() };
    },
    async [Symbol.asyncDispose]() {
      await stop().catch(() => undefined);
    },
  };
}

/** Steps that last until leadership ends; writes down who works when. */
function worker(journal: string[], name: string): ControllerFactory {
  return (tools) => ({
    ...{ name: 'worker', workers: 1 },
    start(queue) {
      queue.add('a/work');
      return Promise.resolve();
    },
    async reconcile(_key, signal) {
      journal.push(`${name} begins`);
      try {
        await delay(600_000, undefined, { signal });
      } catch {
        // Whoever still writes now must be stopped by the client.
        const refused = tools.kube.mergePatch(
          { resource: CONFIG_MAPS, namespace: NAMESPACE, name: 'etcdguardian-trust' },
          { data: { late: `${name} ${journal.length}` } },
        );
        await refused.catch((error: unknown) => {
          if (hasCode(error, 'kubernetes.not-leader')) journal.push(`${name} is refused`);
        });
        journal.push(`${name} ends`);
        throw signal.reason;
      }
      return undefined;
    },
  });
}

const WITH = needs(...KUBE_PROGRAMS);

test(
  'of two replicas one leads; both serve enrolment; when it is asked to end, the other goes on at once',
  WITH,
  async () => {
    const it = await installation();
    const journal: string[] = [];
    await using a = start(it, 'replica-a', [worker(journal, 'a')]);
    await using b = start(it, 'replica-b', [worker(journal, 'b')]);
    await eventually('both can be enrolled at', async () => {
      const pages = await Promise.all([a.page('/readyz'), b.page('/readyz')]);
      return pages.every(({ status }) => status === 200);
    });
    await eventually('one works', () => journal.length === 1);
    const first = journal[0]?.slice(0, 1) ?? '';
    const [leader, other] = first === 'a' ? [a, b] : [b, a];
    const second = first === 'a' ? 'b' : 'a';
    const leads = async (one: Running): Promise<boolean> =>
      (await one.page('/metrics')).text.includes('\netcdguardian_leader 1\n');
    assert.equal(await leads(leader), true);
    assert.equal(await leads(other), false);
    await leader.stop();
    await eventually('the other works', () => journal.includes(`${second} begins`));
    assert.ok(journal.indexOf(`${first} ends`) < journal.indexOf(`${second} begins`), journal.join(', '));
    assert.deepEqual(
      other.lines.filter(({ level }) => level === 'error'),
      [],
    );
  },
);

test(
  'a leader whose API server hangs stops before another could begin, and leads again later',
  WITH,
  async () => {
    const it = await installation();
    const journal: string[] = [];
    // What is left for its end is for a busy machine.
    const flags = { ...SHORT, leaseDurationMs: '20s' };
    await using a = start(it, 'replica-a', [worker(journal, 'a')], flags);
    await eventually('it works', () => journal.length > 0);
    const late = async (): Promise<string | undefined> => {
      const trust = { resource: CONFIG_MAPS, namespace: NAMESPACE, name: 'etcdguardian-trust' };
      return (await it.kube.get<ConfigMap>(trust)).data?.late;
    };
    const before = await eventually('trust is told', async () => (await late()) ?? 'none');
    await it.server.kill('SIGSTOP');
    await eventually('it stops', () => journal.includes('a ends'));
    assert.ok(journal.includes('a is refused'), 'and nothing was written after that');
    await it.server.kill('SIGCONT');
    await eventually('it leads again', () => journal.filter((line) => line === 'a begins').length > 1);
    assert.equal((await late()) ?? 'none', before);
    await it.server.restart();
    await eventually(
      'an API server that restarts is no trouble for long',
      async () => (await a.page('/readyz')).status === 200,
    );
    await eventually('it is well', async () => (await a.page('/healthz')).status === 200);
  },
);

test('calls that queue up don’t cost the leader its Lease', WITH, async () => {
  const it = await installation();
  let answered = 0;
  // By the client's own limit they take a hundred seconds.
  const many = 5_000;
  const busy: ControllerFactory = (tools) => ({
    ...{ name: 'busy', workers: 1 },
    start: (queue) => {
      queue.add('a/work');
      return Promise.resolve();
    },
    async reconcile(_key, signal) {
      const trust = { resource: CONFIG_MAPS, namespace: NAMESPACE, name: 'etcdguardian-trust' };
      const calls = Array.from({ length: many }, async () => {
        await tools.kube.get(trust, { signal });
        answered += 1;
      });
      await Promise.all(calls);
      return undefined;
    },
  });
  await using a = start(it, 'replica-a', [busy]);
  await eventually('calls queue up', () => answered > 0);
  for (let times = 1; times <= 5; times += 1) {
    const { metadata: before } = await it.kube.get(LEASE);
    await eventually('the Lease is renewed', async () => {
      const { metadata } = await it.kube.get(LEASE);
      return metadata.resourceVersion !== before.resourceVersion;
    });
  }
  assert.ok(answered < many, 'nothing waited any more');
  const told = a.lines
    .filter(({ event }) => event === 'leader' || event === 'election')
    .map(({ message }) => message);
  // Before, it may have waited for a Lease that was not given back.
  assert.deepEqual(told.slice(told.indexOf('this replica leads')), ['this replica leads']);
});

test('a step that ignores the end of leadership ends the process', WITH, async () => {
  const it = await installation();
  const deaf: ControllerFactory = () => ({
    ...{ name: 'deaf', workers: 1 },
    start: (queue) => {
      queue.add('a/work');
      return Promise.resolve();
    },
    reconcile: () => new Promise(() => undefined),
  });
  await using a = start(it, 'replica-a', [deaf], SHORT);
  await eventually('it leads', async () =>
    (await a.page('/metrics')).text.includes('\netcdguardian_leader 1\n'),
  );
  await it.server.kill('SIGSTOP');
  await assert.rejects(
    a.ended,
    (error) => hasCode(error, 'controlplane.not-drained') && error.message.includes('deaf of a/work'),
  );
  await it.server.kill('SIGCONT');
  // It was not given back; nobody has to wait for its end.
  await eventually('the Lease is gone', () => it.kube.delete(LEASE).then(() => true));
});

test('an agent enrols, is found by its pod, and gives its term to the leader', WITH, async () => {
  const it = await installation();
  await using folder = await temporaryFolder();
  const tools: ControlPlaneTools[] = [];
  const agentPort = await freePort();
  const probe: ControllerFactory = (given) => {
    tools.push(given);
    return {
      name: 'probe',
      workers: 1,
      start: () => Promise.resolve(),
      reconcile: () => Promise.resolve(undefined),
    };
  };
  await using a = start(it, 'replica-a', [probe], { agentPort: String(agentPort) });
  await eventually('agents can enrol', () => a.ports.enrolment !== undefined && tools.length > 0);
  const [leader] = tools;
  assert.ok(leader);
  const trust = await eventually('trust is told', async () => {
    const map = await it.kube.get<ConfigMap>({
      resource: CONFIG_MAPS,
      namespace: NAMESPACE,
      name: 'etcdguardian-trust',
    });
    return map.data?.['ca.crt'];
  });
  const pod = await it.addAgentPod({ node: 'node-1', ip: '127.0.3.1' });
  await writeFile(folder.join('ca.crt'), trust);
  await writeFile(folder.join('token'), await it.tokenOf(pod));
  const stop = new AbortController();
  const kept = await keepEnrolled(
    {
      ...{
        url: `https://127.0.0.1:${a.ports.enrolment}/enrol`,
        node: 'node-1',
        credentialsDir: folder.join('own'),
      },
      ...{ trustFile: folder.join('ca.crt'), tokenFile: folder.join('token') },
    },
    { clock: systemClock, log: recordedLog().log },
    stop.signal,
  );
  let term = 4n;
  let skewMs = 3_600_000;
  const handlers: AgentHandlers = {
    describe: () =>
      Promise.resolve({
        ...{ node: 'node-1', instance: 'i', term, termHolder: 'cli/alice', timeMs: Date.now() + skewMs },
        etcd: {
          clientUrls: ['https://10.0.0.1:2379'],
          clusterId: 7n,
          memberId: 1n,
          dbSize: 4096,
          revision: 99n,
        },
      }),
    takeTerm: ({ atLeast }) => {
      term = atLeast > term ? atLeast : term + 1n;
      return Promise.resolve({ term, previousHolder: '' });
    },
    cancelTask: ({ fence }) =>
      fence?.term === term
        ? Promise.resolve({ cancelled: true })
        : Promise.reject(new GuardianError('agent.stale-term', 'a higher term was taken')),
  };
  const agent = await serveAgentApi(handlers, {
    ...{ address: '127.0.3.1', port: agentPort, credentials: kept.credentials, clock: systemClock },
    onUnexpected: (_method, error) => {
      throw error;
    },
  });
  const { agents } = leader;
  const choice = await eventually('it is chosen', () => agents.choose({}));
  assert.equal(choice.agent.node, 'node-1');
  const cancel = () =>
    agents.withTerm('node-1', 'op', (client, fence) => client.cancelTask({ fence, reason: 'test' }));
  assert.deepEqual(await cancel(), { cancelled: true });
  term += 5n;
  assert.deepEqual(await cancel(), { cancelled: true }, 'a stale term is taken anew by who leads');
  const { text } = await a.page('/metrics');
  assert.match(text, /etcdguardian_etcd_db_size_bytes\{endpoint="https:\/\/10\.0\.0\.1:2379"\} 4096/);
  assert.match(text, /etcdguardian_etcd_revision\{endpoint="https:\/\/10\.0\.0\.1:2379"\} 99/);
  let from = 0;
  const said = (what: RegExp): boolean => a.lines.slice(from).some(({ message }) => what.test(message));
  await eventually('an hour of clock skew is told', () => said(/is 3[56]\d\d s ahead of/));
  skewMs = 0;
  await eventually('and that it is over', () => said(/clock skew is over/));
  from = a.lines.length;
  await agent.close(0);
  await eventually('an agent that is gone is told', () => said(/\[agent\./));
  await assert.rejects(
    agents.choose({}),
    (error) => hasCode(error, 'controlplane.no-agent') && error.message.includes('node-1'),
  );
  await it.server.kubectl('delete', 'pod', pod.metadata.name, '-n', NAMESPACE, '--force', '--grace-period=0');
  await eventually('it is gone from the directory', () => agents.list().length === 0);
  await assert.rejects(cancel(), (error) => hasCode(error, 'controlplane.no-agent'));
  stop.abort();
  await kept[Symbol.asyncDispose]();
});
