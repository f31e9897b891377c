import { Command } from 'commander';
import { errorFields, errorText, LogLines } from '../lib/log-lines.ts';
import { CONTROL_PLANE_SETTINGS, controlPlaneSettings } from '../controlplane/main.ts';
import { exitCodeOf } from './exit-code.ts';
import type { Session } from './session.ts';
import { addSettingFlags, settingFlags } from './setting-flags.ts';

export function controlPlaneCommand(session: Session): Command {
  const command = new Command('controlplane')
    .summary('one replica of the control plane, as its Deployment starts it')
    .description(
      `Serves the enrolment of agents, and, while it holds the Lease, runs the
controllers of EtcdBackup, EtcdBackupSchedule and EtcdRestore. Runs in the
foreground; SIGTERM ends it in order and gives the Lease back. Everything can be
set by the environment variable that is named; a flag wins.`,
    );
  addSettingFlags(command, CONTROL_PLANE_SETTINGS);
  return command.action(async (options: Readonly<Record<string, string | undefined>>) => {
    const { runControlPlane } = await import('../controlplane/main.ts');
    const { terminal, clock } = session;
    const flags = settingFlags(CONTROL_PLANE_SETTINGS, options);
    const settings = controlPlaneSettings(terminal.env, flags);
    const log = new LogLines(terminal.stderr, clock, settings.logFormat);
    try {
      const { env, signal } = terminal;
      await runControlPlane(settings, { clock, random: Math.random, log, signal, env });
    } catch (error) {
      log.write('error', 'ended', `the control plane ended: ${errorText(error)}`, errorFields(error));
      session.exitCode = exitCodeOf(error);
      // A step that ignored the end of leadership must not go on beside the next leader.
      setTimeout(() => process.exit(session.exitCode), 1_000).unref();
    }
  });
}
