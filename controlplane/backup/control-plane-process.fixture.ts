import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { type ServerProcess, startProcess } from '../../test/harness/server-process.ts';
import type { BackupScene } from './backup-scene.fixture.ts';

const ROOT = join(import.meta.dirname, '..', '..');

/** A control plane in a process of its own, with short Leases; `args`: further flags. */
export async function startControlPlaneProcess(
  scene: BackupScene,
  args: readonly string[] = [],
): Promise<ServerProcess> {
  const env: NodeJS.ProcessEnv = { ...process.env };
  delete env.NODE_TEST_CONTEXT;
  // As the image and a pod's memory limit have it: on a large machine V8 and malloc let much pile up.
  env.NODE_OPTIONS = '--max-semi-space-size=2';
  env.MALLOC_ARENA_MAX = '2';
  env.MALLOC_MMAP_THRESHOLD_ = '262144';
  env.MALLOC_TRIM_THRESHOLD_ = '33554432';
  return startProcess(
    process.execPath,
    [
      join(ROOT, 'cli/main.ts'),
      ...['controlplane', '--kubeconfig', scene.installation.server.kubeconfig, '--listen-host', '127.0.0.1'],
      ...['--pages-port', '0', '--enrolment-port', '0', '--spool-dir', scene.folder.join('child')],
      ...['--lease-duration', '3s', '--renew-deadline', '2s', '--retry-period', '200ms'],
      ...['--external-backups', '1'],
      ...args,
    ],
    { env },
  );
}

/** Without pages of files, which the system takes back when it needs them. */
export async function ownBytes(pid: number): Promise<number> {
  const status = await readFile(`/proc/${pid}/status`, 'utf8');
  return Number(/RssAnon:\s+(\d+) kB/.exec(status)?.[1] ?? 0) * 1024;
}
