import type { Command } from 'commander';
import type { Settings } from '../lib/process-settings.ts';

/** Makes a flag of each setting, which names its environment variable. */
export function addSettingFlags(command: Command, settings: Settings): void {
  for (const { flag, help, env } of Object.values(settings)) command.option(flag, `${help} ($${env})`);
}

/** What was given for which setting, of what commander read. */
export function settingFlags<T extends Settings>(
  settings: T,
  options: Readonly<Record<string, string | undefined>>,
): Partial<Record<keyof T, string>> {
  const given = Object.entries(settings).flatMap(([name, { flag }]) => {
    const value = options[optionOf(flag)];
    return value === undefined ? [] : [[name, value] as const];
  });
  return Object.fromEntries(given) as Partial<Record<keyof T, string>>;
}

/** As commander names the value of `--enrolment-port <port>`: `enrolmentPort`. */
function optionOf(flag: string): string {
  const [name = ''] = flag.replace(/^--/, '').split(' ');
  return name.replaceAll(/-([a-z])/g, (_dash, letter: string) => letter.toUpperCase());
}
