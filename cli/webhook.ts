import { Command } from 'commander';
import { LogLines } from '../lib/log-lines.ts';
import { runWebhook } from '../webhook/main.ts';
import { type SettingName, WEBHOOK_SETTINGS, webhookSettings } from '../webhook/settings.ts';
import type { Session } from './session.ts';

/** Every setting is a flag here, and an environment variable for pods. */
export function webhookCommand(session: Session): Command {
  const command = new Command('webhook')
    .summary('admission: stamps who asked for a backup or restore, and refuses what they may not do')
    .description(
      `Answers the API server's questions about EtcdBackups, EtcdBackupSchedules and EtcdRestores until it is stopped. The chart
runs two of it. It writes nothing, and asks the API server anew for every right of every request.`,
    );
  const names = Object.keys(WEBHOOK_SETTINGS) as SettingName[];
  for (const name of names) {
    const { flag, help, env } = WEBHOOK_SETTINGS[name];
    command.option(flag, `${help} [${env}]`);
  }
  return command.action(async (options: Readonly<Record<string, string>>) => {
    const { terminal, clock } = session;
    const flags = Object.fromEntries(
      names.flatMap((name) => {
        const value = options[attributeOf(WEBHOOK_SETTINGS[name].flag)];
        return value === undefined ? [] : [[name, value] as const];
      }),
    );
    const settings = webhookSettings(process.env, flags);
    const log = new LogLines(terminal.stderr, clock, settings.logFormat);
    await runWebhook(settings, { log, clock, signal: terminal.signal });
  });
}

/** commander's name for the value of `--tls-dir <folder>`: `tlsDir`. */
function attributeOf(flag: string): string {
  const [name = ''] = flag.replace(/^--/, '').split(' ');
  return name.replaceAll(/-([a-z])/g, (_dash, letter: string) => letter.toUpperCase());
}
