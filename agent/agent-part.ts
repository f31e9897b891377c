import type { AgentHandlers } from '../lib/agent-api/agent-server.ts';
import type { Sent } from '../lib/agent-api/fields.ts';
import type { RestoreState } from '../lib/agent-api/restore-messages.ts';
import type { Clock } from '../lib/clock.ts';
import type { LogLines } from '../lib/log-lines.ts';
import type { CredentialSource } from '../lib/pki/credential-folder.ts';
import type { LocalEtcd } from './etcd/local-etcd.ts';
import type { AgentSettings } from './settings.ts';
import type { TermKeeper } from './state/term-keeper.ts';
import type { TaskBook } from './tasks/task-book.ts';

/** What every part of an agent works with. */
export interface PartTools {
  readonly settings: AgentSettings;
  readonly clock: Clock;
  readonly log: LogLines;
  /** `admit` comes before everything that changes something. */
  readonly terms: TermKeeper;
  /** Long work, joined by its operation. */
  readonly tasks: TaskBook;
  readonly etcd: LocalEtcd;
  /** Who this agent is, to servers and towards other agents. */
  readonly credentials: CredentialSource;
  /** Aborts when the agent goes down: no new work from then on. */
  readonly signal: AbortSignal;
}

/** Some of an agent's methods, and what belongs to them. */
export interface AgentPart {
  readonly handlers: AgentHandlers;
  /** For descriptions: restores that this part knows. */
  restores?(): readonly Sent<RestoreState>[];
  /** Called once before the process ends, after all tasks have. */
  close?(): Promise<void>;
}

/** Made once, before the agent answers anyone. Rejecting ends the agent. */
export type MakeAgentPart = (tools: PartTools) => Promise<AgentPart> | AgentPart;
