import { parse } from 'yaml';
import { GuardianError, reasonOf } from '../../lib/guardian-error.ts';

/** etcd's settings by the names of its flags, without dashes before them. */
export type EtcdFlags = ReadonlyMap<string, string>;

/**
 * The settings of a command line with its environment, as etcd takes them (server/etcdmain/config.go): a flag wins over
 * `ETCD_NAME`; with a config file, only that counts.
 */
export function flagsOf(args: readonly string[], env: ReadonlyMap<string, string>): EtcdFlags {
  const flags = new Map<string, string>();
  for (const [name, value] of env) {
    if (name.startsWith('ETCD_')) flags.set(name.slice(5).toLowerCase().replaceAll('_', '-'), value);
  }
  for (let at = 0; at < args.length; at++) {
    const [whole, name, value] = /^--?([a-zA-Z0-9-]+)(?:=(.*))?$/s.exec(args[at] ?? '') ?? [];
    if (whole === undefined || name === undefined) continue;
    const next = args[at + 1];
    if (value !== undefined) flags.set(name, value);
    else if (next !== undefined && !next.startsWith('-')) {
      flags.set(name, next);
      at++;
    } else flags.set(name, 'true');
  }
  return flags;
}

/** The settings of a file for `--config-file`. Throws `agent.etcd-config`. */
export function flagsOfConfigFile(text: string, path: string): EtcdFlags {
  let content: unknown;
  try {
    content = parse(text, { maxAliasCount: 10 });
  } catch (error) {
    throw unreadable(path, reasonOf(error));
  }
  if (typeof content !== 'object' || content === null || Array.isArray(content))
    throw unreadable(path, 'it is no YAML object');
  const flags = new Map<string, string>();
  const sections: readonly (readonly [section: string, prefix: string])[] = [
    ['client-transport-security', ''],
    ['peer-transport-security', 'peer-'],
  ];
  for (const [name, value] of Object.entries(content)) {
    if (typeof value === 'string' || typeof value === 'number' || typeof value === 'boolean')
      flags.set(name, String(value));
  }
  for (const [section, prefix] of sections) {
    const inner: unknown = Object.entries(content).find(([name]) => name === section)?.[1];
    if (typeof inner !== 'object' || inner === null) continue;
    for (const [name, value] of Object.entries(inner))
      if (typeof value === 'string' || typeof value === 'boolean')
        flags.set(`${prefix}${name}`, String(value));
  }
  return flags;
}

function unreadable(path: string, why: string): GuardianError {
  return new GuardianError('agent.etcd-config', `etcd's config file ${path} can't be read: ${why}`, {
    hint: 'Correct it, or tell the agent by its settings where etcd is.',
  });
}
