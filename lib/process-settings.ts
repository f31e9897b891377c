import { z } from 'zod';
import { GuardianError } from './guardian-error.ts';

/** One setting of a process: its environment variable, its flag of `etcdguardian PROCESS`, and what it may be. */
export interface Setting<S extends z.ZodType = z.ZodType> {
  readonly env: string;
  /** `--name <placeholder>`. */
  readonly flag: string;
  readonly help: string;
  /** Of the text; what it makes of it is the setting's value. */
  readonly schema: S;
}

export type Settings = Readonly<Record<string, Setting>>;
export type SettingValues<T extends Settings> = Readonly<z.output<z.ZodObject<Shape<T>>>>;
type Shape<T extends Settings> = { readonly [K in keyof T]: T[K]['schema'] };

export function setting<S extends z.ZodType>(env: string, flag: string, help: string, schema: S): Setting<S> {
  return { env, flag, help, schema };
}

/** Who is set up: `etcdguardian COMMAND`, and the code of what is wrong with it. */
export interface SettingsOf {
  readonly command: string;
  readonly code: string;
}

/**
 * Read once, at a process's start: `flags` win over the environment. An empty text counts as none. Throws `code`, which
 * names every setting that is wrong by its variable.
 */
export function readSettings<T extends Settings>(
  settings: T,
  { command, code }: SettingsOf,
  env: Readonly<Record<string, string | undefined>>,
  flags?: Readonly<Partial<Record<keyof T, string>>>,
): SettingValues<T> {
  const entries: readonly (readonly [keyof T & string, Setting])[] = Object.entries(settings);
  const given = entries.flatMap(([name, { env: variable }]) => {
    const text = flags?.[name] ?? env[variable];
    return text === undefined || text === '' ? [] : [[name, text] as const];
  });
  const shape = Object.fromEntries(entries.map(([name, { schema }]) => [name, schema]));
  const parsed = z.object(shape as Shape<T>).safeParse(Object.fromEntries(given));
  if (parsed.success) return parsed.data;
  const problems = parsed.error.issues.map(({ path: [name], message }) => {
    const known = typeof name === 'string' ? settings[name] : undefined;
    return `${known?.env ?? String(name)}: ${message}`;
  });
  throw new GuardianError(code, problems.join('; '), {
    hint: `Correct them in the chart's values or on the command line; \`etcdguardian ${command} --help\` lists them.`,
  });
}

/** A name as Kubernetes has them. */
export const dnsName = z
  .string()
  .max(253)
  .regex(/^[a-z0-9]([a-z0-9.-]*[a-z0-9])?$/, 'must be a name as Kubernetes has them: a-z, 0-9, "-" and "."');

/** 0: any that is free. */
export const port = z.coerce.number().int().min(0).max(65_535);

/** Entries between commas or spaces. */
export const list = z.string().transform((text) => text.split(/[\s,]+/).filter((entry) => entry !== ''));

/** `90s`, `1h30m`, `7d`; becomes milliseconds. */
export const durationMs = z
  .string()
  .regex(/^(\d+(ms|s|m|h|d))+$/, 'must be a duration like 90s, 15m, 1h30m or 7d')
  .transform((text) => {
    const parts = [...text.matchAll(/(\d+)(ms|s|m|h|d)/g)];
    return parts.reduce((sum, [, count, unit]) => sum + Number(count) * unitOf(MILLISECONDS, unit), 0);
  });

/** `512Mi`, `10Gi`; becomes bytes. */
export const byteCount = z
  .string()
  .regex(/^\d+(Ki|Mi|Gi|Ti)?$/, 'must be a number of bytes like 512Mi or 10Gi')
  .transform((text) => {
    const [, count, unit] = /^(\d+)(\w*)$/.exec(text) ?? [];
    return Number(count) * unitOf(BYTES, unit);
  });

const MILLISECONDS = { ms: 1, s: 1_000, m: 60_000, h: 3_600_000, d: 86_400_000 };
const BYTES = { '': 1, Ki: 1024, Mi: 1024 ** 2, Gi: 1024 ** 3, Ti: 1024 ** 4 };

function unitOf(units: Readonly<Record<string, number>>, unit = ''): number {
  return units[unit] ?? Number.NaN;
}
