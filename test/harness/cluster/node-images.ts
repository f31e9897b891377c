import { join } from 'node:path';
import type { Image } from '../../../tools/image/image-archive.ts';
import { sharedLibraries } from '../../../tools/image/shared-libraries.ts';
import { fileEntry, type TarEntry, withFolders } from '../../../tools/image/layer.ts';
import { requireTool } from '../tools.ts';
import { CLUSTER_VERSIONS, systemRoot } from './node-system.ts';

/** Nothing is ever fetched from there: the images are made here. */
export const IMAGE_REPOSITORY = 'localhost/kubernetes';

const { kubernetes, etcd, coredns } = CLUSTER_VERSIONS;

/** Their names, in the way that kubeadm puts them together. */
export const NODE_IMAGES = {
  pause: `${IMAGE_REPOSITORY}/pause:3.10`,
  etcd: `${IMAGE_REPOSITORY}/etcd:${etcd}`,
  coredns: `${IMAGE_REPOSITORY}/coredns:v${coredns}`,
};

/** The images of a control plane, made of the programs in `.tools/`. */
export function nodeImages(): Image[] {
  const kubernetesImage = (name: string, more: readonly TarEntry[] = []): Image => ({
    reference: `${IMAGE_REPOSITORY}/${name}:v${kubernetes}`,
    layers: [withFolders([program(name, kubernetes), ...more])],
    run: { Env: [PATH], WorkingDir: '/' },
  });
  return [
    {
      reference: NODE_IMAGES.pause,
      layers: [withFolders([program('pause')])],
      run: { Entrypoint: ['/usr/local/bin/pause'] },
    },
    {
      reference: NODE_IMAGES.etcd,
      layers: [withFolders([program('etcd', etcd), program('etcdctl', etcd), program('etcdutl', etcd)])],
      run: { Env: [PATH] },
    },
    ...['kube-apiserver', 'kube-controller-manager', 'kube-scheduler'].map((name) => kubernetesImage(name)),
    kubernetesImage('kube-proxy', packetFilters()),
    {
      reference: NODE_IMAGES.coredns,
      layers: [withFolders([program('coredns')])],
      run: { Entrypoint: ['/usr/local/bin/coredns'], WorkingDir: '/' },
    },
  ];
}

const PATH = 'PATH=/usr/local/bin:/usr/sbin:/usr/bin';

function program(name: string, version?: string): TarEntry {
  return fileEntry(`usr/local/bin/${name}`, requireTool(name, version), 0o755);
}

/** kube-proxy calls nft and conntrack. */
function packetFilters(): TarEntry[] {
  const root = systemRoot();
  const programs = ['usr/sbin/nft', 'usr/sbin/conntrack'];
  const libraries = new Set(programs.flatMap((path) => sharedLibraries(join(root, path), root)));
  return [...programs, ...[...libraries].map((path) => path.slice(1))].map((path) =>
    fileEntry(path, join(root, path), 0o755),
  );
}
