import { Command } from 'commander';
import { LogLines } from '../lib/log-lines.ts';
import { runWebhook } from '../webhook/main.ts';
import { WEBHOOK_SETTINGS, webhookSettings } from '../webhook/settings.ts';
import type { Session } from './session.ts';
import { addSettingFlags, settingFlags } from './setting-flags.ts';

/** Every setting is a flag here, and an environment variable for pods. */
export function webhookCommand(session: Session): Command {
  const command = new Command('webhook')
    .summary('admission: stamps who asked for a backup or restore, and refuses what they may not do')
    .description(
      `Answers the API server's questions about EtcdBackups, EtcdBackupSchedules and
EtcdRestores until it is stopped. The chart runs two of it. It writes nothing,
and asks the API server anew for every right of every request.`,
    );
  addSettingFlags(command, WEBHOOK_SETTINGS);
  return command.action(async (options: Readonly<Record<string, string | undefined>>) => {
    const { terminal, clock } = session;
    const flags = settingFlags(WEBHOOK_SETTINGS, options);
    const settings = webhookSettings(terminal.env, flags);
    const log = new LogLines(terminal.stderr, clock, settings.logFormat);
    await runWebhook(settings, { log, clock, signal: terminal.signal });
  });
}
