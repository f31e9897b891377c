import assert from 'node:assert/strict';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { eventually } from '../../test/harness/eventually.ts';
import { KUBE_PROGRAMS, type KubeApiServer, startKubeApiServer } from '../../test/harness/kube-apiserver.ts';
import { type ServerProcess, startProcess } from '../../test/harness/server-process.ts';
import { needs } from '../../test/harness/tools.ts';
import { hasCode } from '../guardian-error.ts';
import { connectKube, type KubeConnection } from './connect-kube.ts';
import type { KubeClient, KubeObject } from './kube-client.ts';
import {
  type ElectionDurations,
  type ElectionOptions,
  type LeaderTerm,
  runElection,
} from './leader-election.ts';
import type { Lease } from './lease-lock.ts';

const LEASES = { group: 'coordination.k8s.io', version: 'v1', plural: 'leases' };
const MAPS = { group: '', version: 'v1', plural: 'configmaps' };
const SHORT: ElectionDurations = { leaseMs: 3_000, renewDeadlineMs: 2_000, retryMs: 200 };
/** Outlasts an API server's restart on a loaded machine. */
const LONG: ElectionDurations = { leaseMs: 600_000, renewDeadlineMs: 500_000, retryMs: 200 };
const HOUR_MS = 3_600_000;

let kube: KubeApiServer;
let client: KubeConnection;
const programs = needs(...KUBE_PROGRAMS);

if (programs.skip === undefined) {
  before(async () => {
    kube = await startKubeApiServer();
    client = await connectKube({ kubeconfig: kube.kubeconfig, perSecond: 1_000, burst: 1_000 });
    await client.create({ group: '', version: 'v1', plural: 'namespaces' }, undefined, {
      metadata: { name: 'a' },
    });
    await client.create(MAPS, 'a', { metadata: { name: 'written' } });
  });
  after(async () => {
    client[Symbol.dispose]();
    await kube[Symbol.asyncDispose]();
  });
}

test(
  'of two candidates one leads, whatever their clocks say; the other does when the first gives up',
  programs,
  async () => {
    // A time of their own, which goes on by steps: however late a slow machine is, each of them has been here meanwhile.
    let nowMs = 0;
    const monotonic = (): number => nowMs;
    let looks = 0;
    const looking: KubeClient = {
      ...client,
      async get<T extends KubeObject>(...args: Parameters<KubeClient['get']>) {
        const lease = await client.get<T>(...args);
        looks += 1;
        return lease;
      },
    };
    await using first = candidate('skewed', LONG, -HOUR_MS, { monotonic });
    await first.leads(1);
    await using second = candidate('skewed', LONG, HOUR_MS, { monotonic, client: looking });
    for (const stepMs = LONG.leaseMs / 4; nowMs <= 2 * LONG.leaseMs; nowMs += stepMs) {
      await first.terms[0]?.term.verify();
      const before = looks;
      await eventually('the other one looks', () => looks >= before + 2);
    }
    assert.equal(second.terms.length, 0);
    assert.equal(first.terms.length, 1);
    assert.ok(first.terms[0]?.term.leading);

    await first.stop();
    await second.leads(1);
    assert.ok(first.terms[0].signal.aborted && !first.terms[0].term.leading);
    assert.ok((second.terms[0]?.term.transitions ?? 0) > first.terms[0].term.transitions);
  },
);

test(
  'a clock that jumps ahead makes a leader doubt until the next renewal, and costs nothing more',
  programs,
  async () => {
    await using jumping = candidate('jumping', LONG);
    await jumping.leads(1);
    const { term, signal } = jumping.terms[0] ?? assert.fail();
    assert.ok(term.leading);
    jumping.offsetMs = HOUR_MS;
    assert.ok(!term.leading);
    assert.throws(() => {
      term.requireLeading();
    }, /isn't ours any more/);
    await term.verify();
    assert.ok(term.leading);
    jumping.offsetMs = -HOUR_MS;
    assert.ok(term.leading);
    assert.ok(!signal.aborted);
  },
);

test('a leader stays one through an API server’s restart that its Lease outlasts', programs, async () => {
  await using staying = candidate('staying', LONG);
  await staying.leads(1);
  await kube.restart();
  const { term, signal } = staying.terms[0] ?? assert.fail();
  await eventually('it is renewed', async () => {
    await term.verify();
    return true;
  });
  assert.ok(term.leading && !signal.aborted);
  assert.equal(staying.terms.length, 1);
});

test(
  'a leader without an API server stops by its own clock, before another could begin, and leads again later',
  programs,
  async () => {
    // What lies between is for a busy machine, which may stand still for seconds.
    const durations = { ...SHORT, leaseMs: 20_000 };
    await using alone = candidate('alone', durations);
    await alone.leads(1);
    const { term, signal } = alone.terms[0] ?? assert.fail();
    await kube.kill();
    const started = performance.now();
    await eventually('it stops', () => signal.aborted);
    assert.ok(performance.now() - started < durations.leaseMs, `after ${performance.now() - started} ms`);
    assert.ok(hasCode(signal.reason, 'kubernetes.not-leader'));
    assert.ok(!term.leading);
    await kube.restart();
    await alone.leads(2);
  },
);

test('a Lease that another has taken ends leadership at the next look', programs, async () => {
  await using robbed = candidate('robbed', LONG);
  await robbed.leads(1);
  const { term, signal } = robbed.terms[0] ?? assert.fail();
  await client.mergePatch(
    { resource: LEASES, namespace: 'a', name: 'robbed' },
    { spec: { holderIdentity: 'a robber', leaseDurationSeconds: 1 } },
  );
  await assert.rejects(term.verify(), (error) => hasCode(error, 'kubernetes.not-leader'));
  assert.ok(signal.aborted && !term.leading);
});

test('what lead throws ends the election, and the Lease runs out by itself', programs, async () => {
  const ended = new AbortController();
  const failing = runElection({
    ...{ client, namespace: 'a', name: 'failing', identity: 'x', durations: SHORT, signal: ended.signal },
    lead: () => Promise.reject(new Error('the work went on')),
  });
  await assert.rejects(failing, /the work went on/);
  const lease = await client.get<Lease>({ resource: LEASES, namespace: 'a', name: 'failing' });
  assert.match(lease.spec?.holderIdentity ?? '', /^x_/);
});

test('a leader that was killed is followed when its Lease is over', programs, async () => {
  await using child = await startChild('killed');
  await child.line(/^wrote /);
  await child.kill();
  const killed = performance.now();
  await using next = candidate('killed', SHORT);
  await next.leads(1);
  assert.ok(performance.now() - killed > SHORT.renewDeadlineMs, 'it did not wait');
});

test(
  'a leader that was stopped and goes on writes nothing after the next one has begun but what was on its way',
  programs,
  async () => {
    await using child = await startChild('stopped');
    await child.line(/^wrote /);
    await using next = candidate('stopped', SHORT);
    child.signal('SIGSTOP');
    await next.leads(1);
    const { metadata } = await client.get<Lease>({ resource: LEASES, namespace: 'a', name: 'stopped' });
    child.signal('SIGCONT');
    await child.line(/^lost/);

    const wrote = [...child.output().matchAll(/^wrote (\d+)$/gm)].map(([, version]) => BigInt(version ?? 0));
    const begun = BigInt(metadata.resourceVersion ?? 0);
    // The guard is asked just before the bytes are encrypted and sent: in between it may be stopped as well.
    const late = wrote.filter((version) => version >= begun);
    assert.ok(late.length < wrote.length && late.length <= 1, `${late.join(', ')} after ${begun}`);
    // Its own short Lease may have been lost meanwhile, and taken again.
    await eventually('the next one leads', () => next.terms.some(({ term }) => term.leading));
  },
);

interface Term {
  readonly signal: AbortSignal;
  readonly term: LeaderTerm;
}

interface Candidate extends AsyncDisposable {
  readonly terms: Term[];
  /** Of its wall clock. */
  offsetMs: number;
  /** Resolves when it leads for so many times. */
  leads(times: number): Promise<void>;
  stop(): Promise<void>;
}

function candidate(
  name: string,
  durations: ElectionDurations,
  offsetMs = 0,
  options: Pick<ElectionOptions, 'monotonic'> & { readonly client?: KubeClient } = {},
): Candidate {
  const ended = new AbortController();
  const made: Candidate = {
    ...{ terms: [], offsetMs },
    async leads(times) {
      await eventually(`a candidate for ${name} leads`, () => made.terms.length >= times);
    },
    async stop() {
      ended.abort(new Error('the test is over'));
      await running;
    },
    [Symbol.asyncDispose]: async () => {
      await made.stop();
    },
  };
  const running = runElection({
    ...{ client, namespace: 'a', name, identity: 'candidate', durations, signal: ended.signal, ...options },
    clock: () => new Date(Date.now() + made.offsetMs),
    lead: async (signal, term) => {
      made.terms.push({ signal, term });
      const { promise, resolve } = Promise.withResolvers<undefined>();
      signal.addEventListener('abort', () => {
        resolve(undefined);
      });
      await promise;
    },
  });
  running.catch(() => undefined);
  return made;
}

async function startChild(lease: string): Promise<ServerProcess> {
  const { leaseMs, renewDeadlineMs, retryMs } = SHORT;
  return await startProcess(process.execPath, [
    join(import.meta.dirname, 'candidate.fixture.ts'),
    ...[kube.kubeconfig, 'a', lease, String(leaseMs), String(renewDeadlineMs), String(retryMs)],
  ]);
}
