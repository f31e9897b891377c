import { Command } from 'commander';
import { AGENT_SETTINGS, agentSettings, runAgent } from '../agent/main.ts';
import { LogLines } from '../lib/log-lines.ts';
import { EXIT_CODES } from './exit-code.ts';
import type { Session } from './session.ts';
import { addSettingFlags, settingFlags } from './setting-flags.ts';

export function agentCommand(session: Session): Command {
  const command = new Command('agent')
    .summary('run the agent of a node beside its etcd (the DaemonSet does)')
    .description(
      `Does on a node what the control plane asks for: backups of its etcd, captures,
the steps of a restore. Finds etcd by itself, as a static pod or as a unit of
systemd. Each setting is an environment variable too; docs/agent.md has them
all.

SIGTERM or Ctrl-C stores what was captured, lets work end within --stop-within,
and ends with 0.`,
    );
  addSettingFlags(command, AGENT_SETTINGS);
  return command.action(async (options: Readonly<Record<string, string | undefined>>) => {
    const { terminal, clock } = session;
    const settings = agentSettings(terminal.env, settingFlags(AGENT_SETTINGS, options));
    const log = new LogLines(terminal.stderr, clock, settings.logFormat);
    await runAgent(settings, { clock, log, signal: terminal.signal });
    session.exitCode = EXIT_CODES.ok;
  });
}
