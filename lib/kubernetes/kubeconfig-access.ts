import { Agent } from 'node:https';
import { stat } from 'node:fs/promises';
import { type RequestOptions } from 'node:https';
import { delimiter, dirname, isAbsolute, join } from 'node:path';
import { type KubeConfig } from '@kubernetes/client-node';
import { GuardianError, reasonOf } from '../guardian-error.ts';
import { type KubeAccess, type KubeCredentials, rememberCredentials } from './kube-access.ts';

/**
 * The API server that a kubeconfig names: tokens, token files, client certificates, login programs (exec), OIDC, and
 * proxies, as kubectl has them. Files are read again when they change, and login programs run again when what they gave
 * has expired or was refused. `paths` as in KUBECONFIG, several with the system's separator; undefined: `~/.kube/config`.
 */
export async function kubeconfigAccess(
  paths: string | undefined,
  context: string | undefined,
): Promise<KubeAccess> {
  let config = await load(paths, context);
  const cluster = config.getCurrentCluster();
  const server = readServer(cluster?.server, paths);
  let stamp = await stampOf(paths);
  return {
    server,
    namespace: config.getContextObject(config.getCurrentContext())?.namespace,
    credentials: rememberCredentials(async (refused) => {
      const now = await stampOf(paths);
      // A new one remembers nothing of what login programs gave.
      if (refused || now !== stamp) config = await load(paths, context);
      stamp = now;
      return await credentialsOf(config, paths);
    }),
  };
}

async function load(paths: string | undefined, context: string | undefined): Promise<KubeConfig> {
  // Only now, since it takes 80 MiB.
  const client = await import('@kubernetes/client-node');
  const config = new client.KubeConfig();
  try {
    if (paths === undefined) config.loadFromDefault();
    else {
      const files = paths.split(delimiter).filter((path) => path !== '');
      for (const [index, path] of files.entries()) {
        const one = index === 0 ? config : new client.KubeConfig();
        one.loadFromFile(path);
        makeTokenFilesAbsolute(one, dirname(path));
        if (one !== config) config.mergeConfig(one);
      }
    }
    if (context !== undefined) config.setCurrentContext(context);
  } catch (error) {
    throw unusable(paths, reasonOf(error), error);
  }
  if (config.getContextObject(config.getCurrentContext()) === null)
    throw unusable(paths, `it has no context ${JSON.stringify(config.getCurrentContext())}`);
  return config;
}

/** The library does so for the other files only. */
function makeTokenFilesAbsolute(config: KubeConfig, folder: string): void {
  for (const user of config.getUsers()) {
    const provider = user.authProvider as { config?: { tokenFile?: unknown } } | undefined;
    const path = provider?.config?.tokenFile;
    if (provider?.config !== undefined && typeof path === 'string' && !isAbsolute(path))
      provider.config.tokenFile = join(folder, path);
  }
}

function readServer(server: string | undefined, paths: string | undefined): string {
  const text = server ?? '';
  if (!URL.canParse(text)) throw unusable(paths, `the server ${JSON.stringify(text)} is no URL`);
  const { protocol, host, pathname } = new URL(text);
  if (protocol !== 'https:' && protocol !== 'http:')
    throw unusable(paths, `the server ${JSON.stringify(text)} is neither https nor http`);
  return `${protocol}//${host}${pathname.replace(/\/+$/, '')}`;
}

async function credentialsOf(config: KubeConfig, paths: string | undefined): Promise<KubeCredentials> {
  const options: RequestOptions = {};
  try {
    await config.applyToHTTPSOptions(options);
  } catch (error) {
    throw unusable(paths, `its user can't log in: ${reasonOf(error).trim()}`, error);
  }
  const headers: Record<string, string> = {};
  for (const [name, value] of Object.entries((options.headers ?? {}) as Record<string, unknown>))
    if (typeof value === 'string') headers[name.toLowerCase()] = value.trim();
  if (typeof options.auth === 'string')
    headers.authorization = `Basic ${Buffer.from(options.auth).toString('base64')}`;
  const throughProxy = config.getCurrentCluster()?.proxyUrl !== undefined;
  return {
    headers,
    tls: {
      ca: pem(options.ca),
      cert: pem(options.cert),
      key: pem(options.key),
      servername: options.servername,
      rejectUnauthorized: options.rejectUnauthorized,
    },
    agent: throughProxy && options.agent instanceof Agent ? options.agent : undefined,
  };
}

function pem(value: unknown): string | Buffer | undefined {
  return typeof value === 'string' || Buffer.isBuffer(value) ? value : undefined;
}

/** Changes when the files do. */
async function stampOf(paths: string | undefined): Promise<string> {
  const stamps = (paths ?? '').split(delimiter).map(async (path) => {
    if (path === '') return '';
    const { mtimeMs, ino, size } = await stat(path).catch(() => ({ mtimeMs: 0, ino: 0, size: 0 }));
    return `${mtimeMs} ${ino} ${size}`;
  });
  return (await Promise.all(stamps)).join();
}

function unusable(paths: string | undefined, why: string, cause?: unknown): GuardianError {
  const name = paths ?? '~/.kube/config';
  return new GuardianError('kubernetes.credentials', `the kubeconfig ${name} can't be used: ${why}`, {
    hint: 'check it with `kubectl config view` and `kubectl get --raw /version`, or name another with --kubeconfig',
    cause,
  });
}
