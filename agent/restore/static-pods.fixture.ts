import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, readdir, readFile, rename, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { leftovers } from '../../test/harness/leftovers.ts';

/** What of a kubelet matters to restores: it runs whatever lies in its folder, and ends what doesn't any more. */
export interface StaticPods extends AsyncDisposable {
  readonly folder: string;
  /** Puts a manifest there; it runs soon after. */
  add(name: string, command: readonly string[]): Promise<string>;
  /** The process of a manifest that runs now. */
  pid(name: string): number | undefined;
  /** What it has said lately. */
  output(name: string): string;
  /** Starts are refused for this one, as by a broken image. */
  breakPod(name: string, broken: boolean): void;
  /** Ends its process by SIGKILL, if it runs; unless it is broken, it runs again soon. */
  kill(name: string): Promise<void>;
}

export interface StaticPodsOptions {
  /** A command that runs the command after it, where pods shall run. Default here. */
  readonly within?: readonly string[];
}

interface Pod {
  readonly text: string;
  readonly child: ChildProcess;
  readonly ended: Promise<unknown>;
}

const LOOK_MS = 50;
const POLITE_MS = 1_000;

export async function runStaticPods(folder: string, options: StaticPodsOptions = {}): Promise<StaticPods> {
  const { within = [] } = options;
  await mkdir(folder, { recursive: true });
  const pods = new Map<string, Pod>();
  const outputs = new Map<string, string>();
  const broken = new Set<string>();
  const stopping = new AbortController();
  const sync = async (): Promise<void> => {
    const present = (await readdir(folder)).filter((name) => !name.startsWith('.'));
    for (const [name, pod] of pods) {
      if (!present.includes(name)) await end(name, pod);
    }
    for (const name of present) {
      if (pods.has(name) || broken.has(name)) continue;
      const text = await readFile(join(folder, name), 'utf8').catch(() => undefined);
      const command = text === undefined ? undefined : commandOf(text);
      if (text !== undefined && command !== undefined) pods.set(name, start(name, text, command));
    }
  };
  const start = (name: string, text: string, command: readonly string[]): Pod => {
    const [program = '', ...args] = [...within, ...command];
    const child = spawn(program, args, { stdio: ['ignore', 'pipe', 'pipe'] });
    if (child.pid !== undefined) leftovers.addProcess(child.pid);
    for (const stream of [child.stdout, child.stderr])
      stream.on('data', (data: Buffer) => {
        outputs.set(name, ((outputs.get(name) ?? '') + data.toString()).slice(-20_000));
      });
    const ended = once(child, 'exit').then(() => {
      if (child.pid !== undefined) leftovers.removeProcess(child.pid);
      // The kubelet starts again what ends.
      if (pods.get(name)?.child === child) pods.delete(name);
    });
    return { text, child, ended };
  };
  const end = async (name: string, { child, ended }: Pod): Promise<void> => {
    child.kill('SIGTERM');
    await Promise.race([ended, pause(POLITE_MS, undefined, { ref: false })]);
    child.kill('SIGKILL');
    await ended;
    pods.delete(name);
  };
  const running = (async () => {
    while (!stopping.signal.aborted) {
      await sync();
      await pause(LOOK_MS, undefined, { signal: stopping.signal }).catch(() => undefined);
    }
  })();
  return {
    folder,
    async add(name, command) {
      const path = join(folder, name);
      const containers = [{ name: name.replace(/\..*/, ''), command: [...command] }];
      const manifest = {
        apiVersion: 'v1',
        kind: 'Pod',
        metadata: { name: containers[0]?.name },
        spec: { containers },
      };
      await writeFile(join(folder, `.${name}`), JSON.stringify(manifest));
      await writeFile(join(folder, `.${name}.part`), JSON.stringify(manifest));
      await rename(join(folder, `.${name}.part`), path);
      return path;
    },
    pid: (name) => pods.get(name)?.child.pid,
    output: (name) => outputs.get(name) ?? '',
    breakPod(name, isBroken) {
      if (isBroken) broken.add(name);
      else broken.delete(name);
    },
    async kill(name) {
      const pod = pods.get(name);
      pod?.child.kill('SIGKILL');
      await pod?.ended;
    },
    async [Symbol.asyncDispose]() {
      stopping.abort();
      await running;
      await Promise.all(
        [...pods.values()].map(async ({ child, ended }) => {
          child.kill('SIGKILL');
          await ended;
        }),
      );
    },
  };
}

/** Undefined where a manifest is still being written: it is looked at again. */
function commandOf(text: string): readonly string[] | undefined {
  try {
    const { spec } = JSON.parse(text) as { spec: { containers: [{ command: string[] }] } };
    return spec.containers[0].command;
  } catch {
    return undefined;
  }
}
