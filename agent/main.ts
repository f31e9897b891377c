import { randomUUID } from 'node:crypto';
import { chmod } from 'node:fs/promises';
import { join } from 'node:path';
import { type AgentHandlers, serveAgentApi } from '../lib/agent-api/agent-server.ts';
import type { Clock } from '../lib/clock.ts';
import { makeFolders } from '../lib/make-folders.ts';
import { errorFields, errorText, type LogLines } from '../lib/log-lines.ts';
import type { CredentialSource } from '../lib/pki/credential-folder.ts';
import { VERSION } from '../lib/program-version.ts';
import type { AgentPart, MakeAgentPart, PartTools } from './agent-part.ts';
import { type CapturePart, capturePart } from './captures/capture-part.ts';
import { describeAgent } from './describe.ts';
import { localEtcd } from './etcd/local-etcd.ts';
import { hookPart } from './hooks/hook-part.ts';
import { ON_NODE } from './hooks/run-hook.ts';
import { agentMetrics } from './metrics.ts';
import { ownCredentials } from './own-credentials.ts';
import { servePages } from './pages.ts';
import { restorePart } from './restore/restore-part.ts';
import type { AgentSettings } from './settings.ts';
import { stateError } from './state/state-file.ts';
import { openTermKeeper } from './state/term-keeper.ts';
import { backupPart } from './tasks/backup-part.ts';
import { namespacesPart } from './tasks/namespaces-part.ts';
import { TaskBook } from './tasks/task-book.ts';
import { openTaskRecords } from './tasks/task-records.ts';
import { spoolOf } from './tasks/task-request.ts';

export { AGENT_SETTINGS, agentSettings, type AgentSettings, type SettingName } from './settings.ts';

export interface AgentTools {
  readonly clock: Clock;
  readonly log: LogLines;
  /** Ends the agent politely: what was captured is stored, work may end within the settings' time. */
  readonly signal: AbortSignal;
  /** Told once calls are answered. */
  readonly onServing?: ((at: { readonly port: number; readonly pagesPort: number }) => void) | undefined;
  /** What hooks are started by, in place of nsenter; for tests. */
  readonly hookRunner?: readonly string[] | undefined;
  /** In place of the further parts; for tests. */
  readonly parts?: readonly MakeAgentPart[] | undefined;
}

/** Further methods of agents, each made by its own room. */
const PARTS: readonly MakeAgentPart[] = [namespacesPart, restorePart];

/** Runs until the signal. Rejects with `agent.state`, `agent.port` and `pki.credentials` and its kin. */
export async function runAgent(settings: AgentSettings, tools: AgentTools): Promise<void> {
  try {
    await serveUntilTold(settings, tools);
  } catch (error) {
    // Told to stop while it waited for its first certificate.
    if (error !== tools.signal.reason) throw error;
  }
}

async function serveUntilTold(settings: AgentSettings, tools: AgentTools): Promise<void> {
  const { clock, log, signal } = tools;

  // 1. The node's own folder, and what it remembers.
  await prepareFolders(settings);
  const terms = await openTermKeeper(join(settings.stateDir, 'term.json'));
  const unrecorded = (error: unknown): void => {
    log.write(
      'warning',
      'unrecorded',
      `a task's result is not on disk: ${errorText(error)}`,
      errorFields(error),
    );
  };
  const records = await openTaskRecords(join(settings.stateDir, 'tasks'), unrecorded);

  // 2. Who we are. Probes are answered meanwhile, and etcd is measured.
  let notReady: string | undefined = 'there is no certificate yet';
  const moved: { stopCaptures: () => Promise<void> } = { stopCaptures: () => Promise.resolve() };
  await using etcd = localEtcd(settings, async (from, to) => {
    log.write('warning', 'etcd-moved', `etcd's configuration changed: ${from.runsFrom} → ${to.runsFrom}`, {
      ...{ from: from.client.endpoints, to: to.client.endpoints, dataDir: to.dataDir },
    });
    await moved.stopCaptures();
  });
  const running: { captures?: CapturePart; credentials?: CredentialSource } = {};
  const metrics = agentMetrics({
    etcd,
    captures: () => running.captures?.states() ?? [],
    tasks: () => tasks.states(),
    certificateEnds: async () => (await running.credentials?.current())?.certificate.validToDate,
  });
  const tasks = new TaskBook({
    ...{ clock, records },
    onBegin: ({ operation, kind }) => {
      log.write('info', 'task-begun', `${kind} ${operation} begins`, { operation, kind });
    },
    onEnd: (task, error) => {
      const { operation, kind } = task;
      metrics.taskEnded(task, error);
      if (error === undefined)
        log.write('info', 'task-done', `${kind} ${operation} is done`, { operation, kind });
      else
        log.write('error', 'task-failed', `${kind} ${operation} failed: ${errorText(error)}`, {
          ...{ operation, kind },
          ...errorFields(error),
        });
    },
    onUnrecorded: unrecorded,
  });
  await using pages = await servePages(settings.pagesHost, settings.pagesPort, {
    metrics: () => metrics.read(),
    notReady: () => notReady,
  });
  await using identity = await ownCredentials(settings, { clock, log, signal });
  const { credentials } = identity;

  // 3. What we do for others.
  const partTools: PartTools = { settings, clock, log, terms, tasks, etcd, credentials, signal };
  const captures = capturePart(partTools);
  running.captures = captures;
  running.credentials = credentials;
  moved.stopCaptures = () => captures.stopAll();
  const parts: AgentPart[] = [
    captures,
    backupPart(partTools),
    hookPart(partTools, tools.hookRunner ?? ON_NODE),
  ];
  for (const make of tools.parts ?? PARTS) parts.push(await make(partTools));
  const instance = randomUUID();
  const own: AgentHandlers = {
    describe: (_request, call) =>
      describeAgent(
        {
          ...{ settings, instance, clock, terms, etcd, credentials },
          tasks: () => tasks.states(),
          captures: () => captures.states(),
          restores: () => parts.flatMap((part) => part.restores?.() ?? []),
        },
        call.signal,
      ),
    takeTerm: async ({ holder, atLeast, operation }) => terms.take(holder, atLeast, operation),
  };
  const server = await serveAgentApi(
    Object.assign({}, ...parts.map(({ handlers }) => handlers), own) as AgentHandlers,
    {
      ...{ address: settings.listenHost, port: settings.port, credentials, clock },
      onUnexpected: (method, error) => {
        const stack = error instanceof Error ? error.stack : undefined;
        log.write('error', 'defect', `${method} failed as nobody foresaw: ${errorText(error)}`, {
          method,
          stack,
        });
      },
    },
  );
  notReady = undefined;
  log.write('info', 'serving', `agent ${VERSION} of ${settings.node} answers on port ${server.port}`, {
    ...{ node: settings.node, port: server.port, pagesPort: pages.port, instance },
  });
  tools.onServing?.({ port: server.port, pagesPort: pages.port });

  // 4. Until it is enough.
  await untilAborted(signal);
  notReady = 'the agent goes down';
  server.setServing(false);
  log.write('info', 'stopping', 'goes down: work may end, captures store what they saw');
  await Promise.all([tasks.close(settings.stopWithinMs), captures.close?.()]);
  for (const part of parts) if (part !== captures) await part.close?.();
  await server.close(LAST_WORDS_MS);
  log.write('info', 'stopped', 'stopped');
}

/** For replies to callers that still listen. */
const LAST_WORDS_MS = 1_000;

async function prepareFolders(settings: AgentSettings): Promise<void> {
  const { stateDir } = settings;
  try {
    for (const folder of [stateDir, join(stateDir, 'tasks'), spoolOf(settings).folder])
      await makeFolders(folder, 0o700);
    await chmod(stateDir, 0o700);
  } catch (error) {
    throw stateError(`can't use ${stateDir}`, error);
  }
}

function untilAborted(signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) resolve();
    else
      signal.addEventListener('abort', () => {
        resolve();
      });
  });
}
