import { readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { type AgentClient, connectAgent } from '../../../lib/agent-api/agent-client.ts';
import { systemClock } from '../../../lib/clock.ts';
import type { Credentials } from '../../../lib/pki/credentials.ts';
import type { RestoreStateName } from '../../../lib/restore/cluster/restore-states.ts';
import { eventually } from '../eventually.ts';
import { type ServerProcess, startProcess } from '../server-process.ts';

/** Our agent on a node, in a process of its own. */
export interface NodeAgent extends AsyncDisposable {
  readonly client: AgentClient;
  start(): Promise<void>;
  kill(): Promise<void>;
  output(): string;
  /** From now on: once the journal of any restore says so, the process stands still. */
  haltAt(state: RestoreStateName): Promise<Halt>;
}

export interface Halt {
  /** Resolves when it stands still; never, when that state doesn't come. */
  readonly halted: Promise<void>;
  /** It goes on; or it doesn't halt any more. */
  release(): Promise<void>;
}

export interface NodeAgentOptions {
  readonly node: string;
  readonly address: string;
  readonly within: readonly string[];
  readonly folder: string;
  readonly env: Readonly<Record<string, string>>;
  readonly controlPlane: Credentials;
  /** With static pods as a kubelet needs it, in place of what suffices for a test's. */
  readonly patience: 'quick' | 'kubelet';
}

export function nodeAgent(options: NodeAgentOptions): NodeAgent {
  const { node, address, within, folder, env, controlPlane, patience } = options;
  const haltFile = join(folder, 'halt');
  const fixture = join(import.meta.dirname, 'node-agent.fixture.ts');
  const client = connectAgent({ address, node, credentials: controlPlane, clock: systemClock });
  let running: ServerProcess | undefined;
  let halts = 0;
  return {
    client,
    output: () => running?.output() ?? '',
    async start() {
      const [program = '', ...args] = [...within, process.execPath].concat(fixture, haltFile, patience);
      running = await startProcess(program, args, { env: { ...process.env, ...env } });
      await running.line(/answers on port/);
    },
    async kill() {
      await running?.kill();
    },
    async haltAt(state) {
      const token = `${state}-${++halts}`;
      const at = running;
      const said = new RegExp(`^halted ${token}$`);
      await writeFile(haltFile, `${state} ${token}`);
      const { promise, resolve } = Promise.withResolvers<undefined>();
      let released = false;
      const goOn = (): void => {
        at?.signal('SIGCONT');
      };
      const halted = async (): Promise<void> => {
        await at?.line(said, NEVER_MS);
        // It says so just before; a signal that comes too early is no use.
        await eventually(`the agent of ${node} stands still`, () => standsStill(at?.pid ?? 0));
        resolve(undefined);
        // It had read the file before that was taken away.
        if (released) goOn();
      };
      halted().catch(() => undefined);
      return {
        halted: promise,
        async release() {
          await rm(haltFile, { force: true });
          released = true;
          goOn();
        },
      };
    },
    async [Symbol.asyncDispose]() {
      client.close();
      await running?.kill();
    },
  };
}

const NEVER_MS = 2 ** 31 - 1;

async function standsStill(pid: number): Promise<boolean> {
  const threads = await readdir(`/proc/${pid}/task`);
  const states = await Promise.all(threads.map((id) => readFile(`/proc/${pid}/task/${id}/stat`, 'latin1')));
  return states.every((state) => /\) [Tt] /.test(state));
}
