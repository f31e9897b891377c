import { type DrillImages, type DrillOrder, type DrillSettings, ORDER_FOLDER } from './drill-order.ts';
import type { DrillPodSettings } from './drill-pod-settings.ts';

/** The container whose message is the drill's summary. */
export const DRILL_CONTAINER = 'drill';

const PROGRAMS = '/programs';
const WORK = '/work';
const ENCRYPTION = '/drill/encryption';
const QUERIES = '/drill/queries';
const USER = 65_532;

/**
 * A pod without rights that nobody can reach. The programs come out of the cluster's own images, which have no shell:
 * first ours lays its Node into a volume, then that Node, run inside of theirs, copies the program out.
 */
export function drillPod(order: DrillOrder, { serviceAccount, pod }: DrillSettings): object {
  return {
    ...{ restartPolicy: 'Never', serviceAccountName: serviceAccount, automountServiceAccountToken: false },
    enableServiceLinks: false,
    securityContext: {
      ...{ runAsNonRoot: true, runAsUser: USER, runAsGroup: USER, fsGroup: USER },
      seccompProfile: { type: 'RuntimeDefault' },
    },
    ...{
      imagePullSecrets: pod.imagePullSecrets,
      nodeSelector: pod.nodeSelector,
      tolerations: pod.tolerations,
    },
    initContainers: programContainers(order.images, pod),
    containers: [drillContainer(order, pod)],
    volumes: volumes(order, pod),
  };
}

/** The Secret's entry with the value of an environment variable. */
export function entryOf(variable: string): string {
  return `env.${variable}`;
}

function programContainers({ guardian, etcd, kubeApiserver }: DrillImages, pod: DrillPodSettings): object[] {
  const carrier = `${PROGRAMS}/carrier`;
  const copied = (program: string, image: string): object => ({
    ...container(pod, { name: `${program}-program`, image, imagePullPolicy: 'IfNotPresent' }),
    command: [`${carrier}/loader`, '--library-path', `${carrier}/lib`, `${carrier}/node`],
    args: [`${carrier}/copy-program.mts`, program, PROGRAMS],
    volumeMounts: [{ name: 'programs', mountPath: PROGRAMS }],
  });
  return [
    {
      ...container(pod, { name: 'carrier', image: guardian, imagePullPolicy: pod.imagePullPolicy }),
      args: ['drill', 'carrier', '--into', carrier],
      volumeMounts: [{ name: 'programs', mountPath: PROGRAMS }],
    },
    copied('etcd', etcd),
    ...(kubeApiserver === undefined ? [] : [copied('kube-apiserver', kubeApiserver)]),
  ];
}

function drillContainer(order: DrillOrder, pod: DrillPodSettings): object {
  const { images } = order;
  const withApiServer = images.kubeApiserver !== undefined;
  const variables = Object.keys(order.environment).map((name) => ({
    ...{ name, valueFrom: { secretKeyRef: { name: order.secret, key: entryOf(name) } } },
  }));
  return {
    ...container(pod, {
      ...{ name: DRILL_CONTAINER, image: images.guardian, imagePullPolicy: pod.imagePullPolicy },
    }),
    args: [
      ...['drill', 'run', '--etcd', `${PROGRAMS}/etcd`],
      ...(withApiServer ? ['--kube-apiserver', `${PROGRAMS}/kube-apiserver`] : []),
      ...(hasEncryption(order, pod) ? ['--encryption-config', `${ENCRYPTION}/encryption.yaml`] : []),
      ...(pod.queriesConfigMap === '' ? [] : ['--queries', `${QUERIES}/queries.yaml`]),
      ...['--work-dir', WORK, '--summary', '/dev/termination-log', ...order.arguments.map(literal)],
    ],
    env: [{ name: 'HOME', value: WORK }, { name: 'TMPDIR', value: WORK }, ...pod.env, ...variables],
    volumeMounts: [
      { name: 'programs', mountPath: PROGRAMS, readOnly: true },
      { name: 'work', mountPath: WORK },
      { name: 'order', mountPath: ORDER_FOLDER, readOnly: true },
      ...(hasEncryption(order, pod) ? [{ name: 'encryption', mountPath: ENCRYPTION, readOnly: true }] : []),
      ...(pod.queriesConfigMap === '' ? [] : [{ name: 'queries', mountPath: QUERIES, readOnly: true }]),
    ],
  };
}

/** A kubelet puts the values of variables for `$(NAME)`, which whoever chooses an endpoint might write. */
function literal(argument: string): string {
  return argument.replaceAll('$', () => '$$');
}

function container(pod: DrillPodSettings, more: object): object {
  return {
    ...more,
    // What it wrote when it left no message: for whoever asks why there was no drill.
    terminationMessagePolicy: 'FallbackToLogsOnError',
    resources: pod.resources,
    securityContext: {
      ...{ allowPrivilegeEscalation: false, readOnlyRootFilesystem: true },
      capabilities: { drop: ['ALL'] },
    },
  };
}

function volumes(order: DrillOrder, pod: DrillPodSettings): object[] {
  const { diskSize, encryptionConfigSecret, queriesConfigMap } = pod;
  const files = Object.keys(order.files).map((name) => ({ key: name, path: name }));
  return [
    { name: 'programs', emptyDir: {} },
    { name: 'work', emptyDir: diskSize === '' ? {} : { sizeLimit: diskSize } },
    // It comes after the Job, which owns it: the pod waits for it.
    { name: 'order', secret: { secretName: order.secret, items: files, defaultMode: 0o400 } },
    ...(hasEncryption(order, pod)
      ? [{ name: 'encryption', secret: { secretName: encryptionConfigSecret, defaultMode: 0o400 } }]
      : []),
    ...(queriesConfigMap === '' ? [] : [{ name: 'queries', configMap: { name: queriesConfigMap } }]),
  ];
}

/** Only an API server reads it. */
function hasEncryption({ images }: DrillOrder, { encryptionConfigSecret }: DrillPodSettings): boolean {
  return images.kubeApiserver !== undefined && encryptionConfigSecret !== '';
}
