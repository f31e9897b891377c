import type { Command } from 'commander';
import { readFileSync } from 'node:fs';
import type { EtcdCredentials, EtcdSettings } from '../lib/etcd/client/etcd-settings.ts';
import { GuardianError, reasonOf } from '../lib/guardian-error.ts';
import { parseDuration } from './option-values.ts';
import type { Terminal } from './terminal.ts';

export interface EtcdOptions {
  readonly endpoints?: string;
  readonly cacert?: string;
  readonly cert?: string;
  readonly key?: string;
  readonly tlsServerName?: string;
  readonly insecureSkipTlsVerify?: boolean;
  readonly user?: string;
  readonly passwordFile?: string;
  readonly connectTimeout?: string;
}

/** Adds the options that say how to reach etcd; their names are etcdctl's. */
export function withEtcdOptions(command: Command): Command {
  return command
    .option(
      '--endpoints <list>',
      'etcd members, comma-separated: https://host:2379,… (or $ETCDCTL_ENDPOINTS)',
    )
    .option('--cacert <file>', "CA that signed etcd's certificate, PEM (or $ETCDCTL_CACERT)")
    .option('--cert <file>', 'client certificate, PEM (or $ETCDCTL_CERT)')
    .option('--key <file>', 'its private key, PEM (or $ETCDCTL_KEY)')
    .option('--tls-server-name <name>', "the name to expect in etcd's certificate instead of the address")
    .option(
      '--insecure-skip-tls-verify',
      "do not check etcd's certificate: for a look only, never for a backup",
    )
    .option('--user <name[:password]>', 'etcd user; needs the root role for a snapshot (or $ETCDCTL_USER)')
    .option('--password-file <file>', 'file with the password, first line (or $ETCDCTL_PASSWORD)')
    .option('--connect-timeout <duration>', 'how long connecting may take', '5s');
}

/** Settings of the client from the command line, then etcdctl's environment. */
export function etcdSettings(options: EtcdOptions, terminal: Terminal): EtcdSettings {
  const { env } = terminal;
  const endpoints = (options.endpoints ?? env.ETCDCTL_ENDPOINTS ?? '')
    .split(',')
    .map((endpoint) => endpoint.trim())
    .filter((endpoint) => endpoint !== '');
  if (endpoints.length === 0) {
    throw new GuardianError('usage.endpoints', 'no etcd endpoint given', {
      hint: 'name the members with --endpoints https://host:2379,… or $ETCDCTL_ENDPOINTS; on a kubeadm node: --endpoints https://127.0.0.1:2379 --cacert /etc/kubernetes/pki/etcd/ca.crt --cert /etc/kubernetes/pki/etcd/server.crt --key /etc/kubernetes/pki/etcd/server.key',
    });
  }
  const tls = {
    caFile: options.cacert ?? set(env.ETCDCTL_CACERT),
    certFile: options.cert ?? set(env.ETCDCTL_CERT),
    keyFile: options.key ?? set(env.ETCDCTL_KEY),
    serverName: options.tlsServerName,
    insecureSkipVerify: options.insecureSkipTlsVerify,
  };
  const asked = Object.values(tls).some((value) => value !== undefined);
  return {
    endpoints,
    tls: asked ? tls : undefined,
    credentials: credentials(options, env),
    connectTimeoutMs: parseDuration(options.connectTimeout ?? '5s', '--connect-timeout'),
  };
}

/** In an environment, empty means not set. */
function set(value: string | undefined): string | undefined {
  return value === '' ? undefined : value;
}

function credentials(options: EtcdOptions, env: Terminal['env']): EtcdCredentials | undefined {
  const user = options.user ?? env.ETCDCTL_USER;
  if (user === undefined || user === '') return undefined;
  const colon = user.indexOf(':');
  const username = colon < 0 ? user : user.slice(0, colon);
  if (options.passwordFile !== undefined) return { username, password: firstLine(options.passwordFile) };
  if (colon >= 0) return { username, password: user.slice(colon + 1) };
  const password = env.ETCDCTL_PASSWORD;
  if (password === undefined) {
    throw new GuardianError('usage.password', `no password for the etcd user "${username}"`, {
      hint: 'give --password-file FILE, or set $ETCDCTL_PASSWORD',
    });
  }
  return { username, password };
}

function firstLine(file: string): string {
  try {
    return readFileSync(file, 'utf8').split(/\r?\n/, 1)[0] ?? '';
  } catch (error) {
    throw new GuardianError('usage.password-file', `the password file can't be read: ${reasonOf(error)}`, {
      cause: error,
    });
  }
}
