import { GuardianError } from '../../lib/guardian-error.ts';
import type { AgentPart, PartTools } from '../agent-part.ts';
import { runHook } from './run-hook.ts';

const LONGEST_S = 3_600;
const MOST_WORDS = 1_000;

/** Commands on the node, where its settings allow them. */
export function hookPart({ settings, terms, log }: PartTools, runner: readonly string[]): AgentPart {
  return {
    handlers: {
      async *runHook({ fence, name, command, timeoutSeconds }, { signal, peer }) {
        const { operation } = await terms.admit(fence);
        if (!settings.hooks) {
          throw new GuardianError('agent.hooks-off', `hooks may not run on node ${settings.node}`, {
            hint: 'Allow them with agent.hooks.enabled in the chart, or leave them out of the spec.',
          });
        }
        if (command.length === 0 || command.length > MOST_WORDS || command[0] === '' || !(timeoutSeconds > 0))
          throw new GuardianError('agent.request', `hook ${name} has no command or no time`);
        const timeoutMs = Math.min(timeoutSeconds, LONGEST_S) * 1_000;
        log.write('info', 'hook', `runs hook ${name} of operation ${operation}`, {
          ...{ operation, hook: name, program: command[0], by: peer.role },
        });
        yield* runHook({ name, operation, command, timeoutMs }, runner, signal);
      },
    },
  };
}
