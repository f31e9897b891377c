import { spawn } from 'node:child_process';
import { Socket } from 'node:net';

/**
 * What a test process would leave behind if it were killed: servers that run, folders that fill the memory
 * disk. A small shell, started with the first of them, holds the list and reads a pipe from us; when we are
 * gone, however we went, the pipe ends, and it ends the servers and removes the folders.
 */
export const leftovers = {
  addProcess(pid: number): void {
    pids.add(pid);
    tell();
  },
  removeProcess(pid: number): void {
    pids.delete(pid);
    tell();
  },
  addFolder(path: string): void {
    folders.add(path);
    tell();
  },
  removeFolder(path: string): void {
    folders.delete(path);
    tell();
  },
};

const pids = new Set<number>();
const folders = new Set<string>();
let pipe: NodeJS.WritableStream | undefined;

const UNDERTAKER = `
pids= folders= tab=$(printf '\\t')
while IFS= read -r line; do
  case $line in
    "pids$tab"*) pids=\${line#*"$tab"} ;;
    "folders$tab"*) folders=\${line#*"$tab"} ;;
  esac
done
set -f; IFS=$tab
[ -z "$pids" ] || kill -9 $pids
[ -z "$folders" ] || rm -rf -- $folders
`;

function tell(): void {
  pipe ??= startUndertaker();
  pipe.write(`pids\t${[...pids].join('\t')}\nfolders\t${[...folders].join('\t')}\n`);
}

function startUndertaker(): NodeJS.WritableStream {
  // Detached: Ctrl-C in a terminal ends our whole process group, and this one has work to do then.
  const shell = spawn('sh', ['-c', UNDERTAKER], { stdio: ['pipe', 'ignore', 'ignore'], detached: true });
  shell.unref();
  shell.stdin.on('error', () => undefined);
  // A pipe to a child is a socket; neither it nor the child keeps the test process alive.
  if (shell.stdin instanceof Socket) shell.stdin.unref();
  return shell.stdin;
}
