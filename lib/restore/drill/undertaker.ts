import { spawn } from 'node:child_process';
import { Socket } from 'node:net';

/**
 * Sees to what a drill leaves when its process is killed: a shell that waits for the end of a pipe, then kills the
 * programs it knows of and removes the folder. Without it an etcd would go on serving every Secret of a cluster until
 * the next drill. Where there is no shell, that next drill is who cleans up.
 */
export interface Undertaker {
  /** A program that runs from now on. */
  watch(pid: number): void;
  /** It has ended. */
  forget(pid: number): void;
  /** Nothing is left to see to. */
  dismiss(): void;
}

const SCRIPT = `
pids=
while IFS= read -r line; do pids=$line; done
[ -z "$pids" ] || kill -9 $pids
rm -rf -- "$1"
`;

/** `folder` is absolute. */
export function startUndertaker(folder: string): Undertaker {
  // Detached: Ctrl-C in a terminal ends the whole process group, and this one has work to do then.
  const shell = spawn('sh', ['-c', SCRIPT, 'sh', folder], {
    stdio: ['pipe', 'ignore', 'ignore'],
    detached: true,
    cwd: '/',
  });
  shell.on('error', () => undefined);
  shell.stdin.on('error', () => undefined);
  shell.unref();
  // A pipe to a child is a socket; neither keeps this process alive.
  if (shell.stdin instanceof Socket) shell.stdin.unref();
  const pids = new Set<number>();
  const tell = (): void => {
    shell.stdin.write(`${[...pids].join(' ')}\n`);
  };
  return {
    watch: (pid) => {
      pids.add(pid);
      tell();
    },
    forget: (pid) => {
      pids.delete(pid);
      tell();
    },
    dismiss: () => {
      shell.stdin.end('\n');
    },
  };
}
