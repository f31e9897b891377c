import { isAbsolute } from 'node:path';
import { staticPods } from '../etcd/static-pod.ts';
import { systemdUnit } from '../etcd/systemd-unit.ts';
import type { AgentSettings } from '../settings.ts';

export type PointingSettings = Pick<AgentSettings, 'manifestsDir' | 'unitDirs' | 'etcdUnit'>;

/**
 * The files that the flags of this node's API server and etcd name, by their paths on the node: certificates, keys,
 * EncryptionConfiguration, audit policy and the like, wherever they lie.
 */
export async function pointedFiles({
  manifestsDir,
  unitDirs,
  etcdUnit,
}: PointingSettings): Promise<string[]> {
  const found: string[] = [];
  for (const [program, unitName] of [
    ['kube-apiserver', 'kube-apiserver.service'],
    ['etcd', etcdUnit],
  ] as const) {
    for (const pod of await staticPods(manifestsDir, program))
      found.push(...filesIn(pod.args).map((path) => pod.onNode(path)));
    const unit = await systemdUnit(unitDirs, unitName).catch(() => undefined);
    if (unit !== undefined) found.push(...filesIn(unit.command.slice(1)));
  }
  return [...new Set(found)];
}

/** A flag may be given several times, as for old and new keys of service accounts. */
function filesIn(args: readonly string[]): string[] {
  return args.flatMap((arg, at) => {
    const [, name, joined] = /^--?([a-z0-9-]+)(?:=(.*))?$/s.exec(arg) ?? [];
    const value = joined ?? args[at + 1];
    return name !== undefined && NAMES_FILE.test(name) && value !== undefined && isAbsolute(value)
      ? [value]
      : [];
  });
}

/** As in `--encryption-provider-config`, `--tls-private-key-file`, `--etcd-cafile`, `--kubelet-client-key`. */
const NAMES_FILE = /(?:file|config|-certificate|-client-key)$/;
