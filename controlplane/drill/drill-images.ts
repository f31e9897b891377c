import { GuardianError } from '../../lib/guardian-error.ts';
import type { Pod } from '../core-resources.ts';
import type { DrillImages } from './drill-order.ts';

/** A pod of the control plane of this cluster, as far as its images are concerned. */
export interface ProgramPod extends Pod {
  readonly spec: Pod['spec'] & {
    readonly containers?: readonly {
      readonly name: string;
      readonly image?: string;
      readonly command?: readonly string[];
    }[];
  };
}

/** Which pods of kube-system to look at, as a selector of labels; kubeadm and what follows it label static pods so. */
export const PROGRAM_PODS = 'component in (etcd, kube-apiserver)';

/** What is said about images; empty texts: nothing. */
export interface SaidImages {
  readonly guardian: string;
  readonly etcd: string;
  readonly kubeApiserver: string;
  /** Whether drills start an API server. */
  readonly withApiServer: boolean;
}

/**
 * The images with the cluster's own programs: what settings say, else what most of its pods run, of as many the newest.
 * Throws `drill.no-image` where no etcd is known; without a known API server the drill is held without one.
 */
export function drillImages(pods: readonly ProgramPod[], said: SaidImages): DrillImages {
  const etcd = said.etcd === '' ? imageOf('etcd', pods) : said.etcd;
  if (etcd === undefined) {
    throw new GuardianError(
      'drill.no-image',
      'no pod in kube-system is labelled component=etcd: the image with the etcd of this cluster is not known',
      { hint: 'Name an image of its version in drills.etcdImage of the chart.' },
    );
  }
  const kubeApiserver = said.kubeApiserver === '' ? imageOf('kube-apiserver', pods) : said.kubeApiserver;
  return { guardian: said.guardian, etcd, kubeApiserver: said.withApiServer ? kubeApiserver : undefined };
}

function imageOf(program: string, pods: readonly ProgramPod[]): string | undefined {
  const newestFirst = pods
    .filter(({ metadata }) => metadata.labels?.component === program)
    .sort((a, b) => (b.metadata.creationTimestamp ?? '').localeCompare(a.metadata.creationTimestamp ?? ''));
  const images = newestFirst.flatMap((pod) => programImage(program, pod) ?? []);
  const count = (image: string): number => images.filter((other) => other === image).length;
  const most = Math.max(...images.map(count));
  return images.find((image) => count(image) === most);
}

function programImage(program: string, { spec: { containers = [] } }: ProgramPod): string | undefined {
  const [only] = containers;
  const named =
    containers.find(({ name }) => name === program) ??
    containers.find(({ command }) => command?.[0]?.split('/').at(-1) === program) ??
    (containers.length === 1 ? only : undefined);
  return named?.image === '' ? undefined : named?.image;
}
