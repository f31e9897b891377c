import { hostname } from 'node:os';
import { auditLog } from '../lib/audit-log.ts';
import type { Clock } from '../lib/clock.ts';
import { hasCode } from '../lib/guardian-error.ts';
import { connectKube, type KubeConnection } from '../lib/kubernetes/connect-kube.ts';
import { eventRecorder } from '../lib/kubernetes/event-recorder.ts';
import type { KubeObject } from '../lib/kubernetes/kube-client.ts';
import { type LeaderTerm, runElection } from '../lib/kubernetes/leader-election.ts';
import { errorFields, errorText, type LogLines } from '../lib/log-lines.ts';
import { VERSION } from '../lib/program-version.ts';
import { watchAgents } from './agents/watch-agents.ts';
import { authorityStore } from './certificates/authority-store.ts';
import { type CertificateKeeper, certificateKeeper } from './certificates/certificate-keeper.ts';
import { certificatesController } from './certificates/certificates-controller.ts';
import { followAuthority } from './certificates/follow-authority.ts';
import { signingKeeper } from './certificates/signing-keeper.ts';
import { type ControllerFactory, CONTROLLERS } from './controllers.ts';
import { NAMESPACES } from './core-resources.ts';
import { type EnrolmentServer, startEnrolmentServer } from './enrolment/enrolment-server.ts';
import { type ControlPlaneMetrics, controlPlaneMetrics } from './metrics.ts';
import { objectEvents } from './object-events.ts';
import { type Pages, startPages } from './pages.ts';
import { runControllers } from './run-controllers.ts';
import type { ControlPlaneSettings } from './settings.ts';
import type { ControlPlaneTools, PodIdentity } from './tools.ts';
import { untilItWorks } from './until-it-works.ts';

export { CONTROL_PLANE_SETTINGS, controlPlaneSettings } from './settings.ts';
export type { ControlPlaneSettings, SettingName } from './settings.ts';

/** What the process is given by whoever starts it. */
export interface ControlPlaneProcess {
  readonly clock: Clock;
  readonly random: () => number;
  readonly log: LogLines;
  /** Ends the process in order: SIGTERM. */
  readonly signal: AbortSignal;
  readonly env: NodeJS.ProcessEnv;
  /** Default: all of them. */
  readonly controllers?: readonly ControllerFactory[];
  /** Where it listens, when it does. */
  readonly onListening?: (ports: { readonly pages?: number; readonly enrolment?: number }) => void;
}

/** What of a replica lives as long as its process. */
interface Replica {
  readonly settings: ControlPlaneSettings;
  readonly process: ControlPlaneProcess;
  readonly kube: KubeConnection;
  /** For the Lease alone. */
  readonly election: KubeConnection;
  /** For whoever comes to enrol. */
  readonly enrolment: KubeConnection;
  readonly cluster: string;
  readonly pod: PodIdentity;
  readonly metrics: ControlPlaneMetrics;
  readonly keeper: CertificateKeeper;
}

/** How long steps may take to end in order, when nobody else can lead meanwhile; less than a pod's grace of 30 s. */
const ORDERLY_DRAIN_MS = 20_000;

/**
 * One replica of the control plane: every one serves enrolment and pages, one leads and runs the controllers. Resolves
 * when the signal aborted and all has ended; rejects with what nobody can go on after, e.g. `controlplane.listen`,
 * `controlplane.not-drained`.
 */
export async function runControlPlane(
  settings: ControlPlaneSettings,
  process: ControlPlaneProcess,
): Promise<void> {
  const { log, clock, signal } = process;
  const pod = { name: settings.podName ?? hostname(), uid: settings.podUid };
  log.write(
    'info',
    'starting',
    `etcdguardian ${VERSION}, control plane ${pod.name} in ${settings.namespace}`,
  );
  const metrics = controlPlaneMetrics();
  const serving: { enrolment?: EnrolmentServer; keeper?: CertificateKeeper } = {};
  await using stack = new AsyncDisposableStack();

  // 1. Pages first: what is missing can be seen there.
  const pages: Pages = stack.use(
    await startPages(
      { metrics, unhealthy: () => undefined, unready: () => whyUnready(serving) },
      { host: settings.listenHost, port: settings.pagesPort },
    ),
  );
  process.onListening?.({ pages: pages.port });

  // 2. The API server, and which cluster this is.
  const { kubeconfig, kubeContext: context } = settings;
  const server = { kubeconfig, context, env: process.env, random: process.random };
  const kube = stack.use(await connectKube({ ...server, component: 'controlplane' }));
  // Its calls must not queue behind thousands of others, or the Lease is lost under load.
  const election = stack.use(await connectKube({ ...server, component: 'controlplane-election' }));
  // And strangers who come to enrol must neither hold up controllers nor wait for them.
  const enrolment = stack.use(await connectKube({ ...server, component: 'controlplane-enrolment' }));
  const cluster = await untilItWorks('the API server', process, signal, async () => clusterOf(kube, signal));
  if (cluster === undefined) return;

  // 3. The authority, which both replicas know, and what they serve with it.
  const { namespace } = settings;
  const keeper = certificateKeeper(`${settings.service}.${namespace}.svc`, clock);
  serving.keeper = keeper;
  const store = authorityStore({ kube, clock, scope: { cluster, namespace }, settings });
  const replica: Replica = { settings, process, kube, election, enrolment, cluster, pod, metrics, keeper };
  const ending = new AbortController();
  const all = AbortSignal.any([signal, ending.signal]);
  const following = followAuthority(store, keeper, log, process.random, all);
  const enrolling = serveEnrolment(replica, serving, all);
  // 4. Leading, when it is our turn.
  const electing = elect(replica, all);
  try {
    await Promise.all([electing, enrolling]);
  } finally {
    ending.abort();
    await Promise.allSettled([following, enrolling, electing]);
    log.write('info', 'stopped', 'the control plane has ended');
  }
}

async function elect(replica: Replica, signal: AbortSignal): Promise<void> {
  const { settings, process, election, pod, metrics } = replica;
  const { log, clock, random } = process;
  metrics.leader.set(0);
  await runElection({
    ...{
      client: election,
      namespace: settings.namespace,
      name: settings.lease,
      identity: pod.name,
      clock,
      random,
      signal,
    },
    durations: {
      leaseMs: settings.leaseDurationMs,
      renewDeadlineMs: settings.renewDeadlineMs,
      retryMs: settings.retryPeriodMs,
    },
    onChange: ({ holder, isUs }) => {
      log.write(
        'info',
        'leader',
        isUs ? 'this replica leads' : `${holder === '' ? 'nobody' : holder} leads`,
        { holder },
      );
    },
    onTrouble: (error) => {
      log.write('warning', 'election', `the Lease: ${errorText(error)}`, errorFields(error));
    },
    lead: async (leading, term) => {
      metrics.leader.set(1);
      try {
        await lead(replica, term, leading);
      } finally {
        metrics.leader.set(0);
        metrics.forgetLed();
      }
    },
  });
}

/** Runs the controllers for one time of leading. */
async function lead(replica: Replica, term: LeaderTerm, signal: AbortSignal): Promise<void> {
  const { settings, process, cluster, pod, metrics, keeper } = replica;
  const { clock, random, log } = process;
  const { namespace } = settings;
  const kube = replica.kube.guardedBy(() => {
    term.requireLeading();
  });
  const recorder = eventRecorder({
    ...{ client: kube, controller: 'etcdguardian.io/controlplane', instance: pod.name, clock },
    onTrouble: (error) => {
      log.write('warning', 'events', `events can't be written: ${errorText(error)}`, errorFields(error));
    },
  });
  const signing = signingKeeper({ kube, clock, reference: { namespace, name: settings.signingSecret } });
  const shared = {
    ...{ kube, namespace, pod, cluster, clock, random, log, metrics, settings },
    ...{ leadership: term, credentials: keeper, audit: auditLog(log), events: objectEvents(recorder) },
  };
  const agents = watchAgents(shared, signal);
  const tools: ControlPlaneTools = { ...shared, agents, signingKeyFile: () => signing.keyFile() };
  const guarded = authorityStore({ kube, clock, scope: { cluster, namespace }, settings });
  const controllers = [
    certificatesController(tools, { store: guarded, keeper, signing }),
    ...(process.controllers ?? CONTROLLERS).map((create) => create(tools)),
  ];
  const drainMs = (reason: unknown): number =>
    hasCode(reason, 'kubernetes.not-leader')
      ? (settings.leaseDurationMs - settings.renewDeadlineMs) * 0.8
      : ORDERLY_DRAIN_MS;
  try {
    await runControllers(controllers, { log, metrics, random, drainMs }, signal);
  } finally {
    await recorder.flush(AbortSignal.timeout(1_000));
  }
}

/** As soon as there is a certificate to serve with; until the signal. */
async function serveEnrolment(
  { settings, process, enrolment: kube, metrics, keeper }: Replica,
  serving: { enrolment?: EnrolmentServer },
  signal: AbortSignal,
): Promise<void> {
  const { log, clock, onListening } = process;
  const { namespace } = settings;
  try {
    await keeper.ready(signal);
  } catch {
    return;
  }
  const tools = { kube, namespace, settings, keeper, clock, log, metrics, audit: auditLog(log) };
  await using server = await startEnrolmentServer(tools, {
    host: settings.listenHost,
    port: settings.enrolmentPort,
  });
  serving.enrolment = server;
  onListening?.({ enrolment: server.port });
  log.write('info', 'enrolment', `agents enrol at port ${server.port}`, { port: server.port });
  await new Promise((resolve) => {
    signal.addEventListener('abort', resolve, { once: true });
    if (signal.aborted) resolve(undefined);
  });
  delete serving.enrolment;
}

async function clusterOf(kube: KubeConnection, signal: AbortSignal): Promise<string> {
  const { metadata } = await kube.get<KubeObject>({ resource: NAMESPACES, name: 'kube-system' }, { signal });
  return metadata.uid ?? '';
}

function whyUnready({
  enrolment,
  keeper,
}: {
  enrolment?: EnrolmentServer;
  keeper?: CertificateKeeper;
}): string | undefined {
  if (enrolment !== undefined) return undefined;
  return keeper === undefined
    ? 'the API server was not reached yet'
    : `agents can't enrol: ${keeper.complaint ?? 'the certificate authority is not known yet'}`;
}
