import { Agent } from 'node:https';
import { readFile, stat } from 'node:fs/promises';
import type { RequestOptions } from 'node:https';
import { delimiter, dirname, resolve } from 'node:path';
// Not `{ type … }`, which would load it for nothing.
import type { KubeConfig } from '@kubernetes/client-node';
import { parse } from 'yaml';
import { z } from 'zod';
import { GuardianError, reasonOf } from '../guardian-error.ts';
import { type KubeAccess, type KubeCredentials, rememberCredentials } from './kube-access.ts';

/**
 * The API server that a kubeconfig names: tokens, token files, client certificates, login programs (exec), OIDC, and
 * proxies, as kubectl has them. Files are read again when they change, and login programs run again when what they gave
 * has expired or was refused. `paths` as in KUBECONFIG, several with the system's separator.
 */
export async function kubeconfigAccess(paths: string, context: string | undefined): Promise<KubeAccess> {
  let loaded = await load(paths, context);
  const { config } = loaded;
  const cluster = config.getCurrentCluster();
  const server = readServer(cluster?.server, paths);
  let stamp = await stampOf(paths);
  return {
    server,
    namespace: config.getContextObject(config.getCurrentContext())?.namespace,
    credentials: rememberCredentials(async (refused) => {
      const now = await stampOf(paths);
      // A new one remembers nothing of what login programs gave.
      if (refused || now !== stamp) loaded = await load(paths, context);
      stamp = now;
      return await credentialsOf(loaded, paths);
    }),
  };
}

interface Loaded {
  readonly config: KubeConfig;
  readonly tokenFile: string | undefined;
}

async function load(paths: string, context: string | undefined): Promise<Loaded> {
  // Only now, since it takes 80 MiB.
  const client = await import('@kubernetes/client-node');
  const config = new client.KubeConfig();
  const tokenFiles = new Map<string, string>();
  try {
    const files = paths.split(delimiter).filter((path) => path !== '');
    for (const [index, path] of files.entries()) {
      const one = index === 0 ? config : new client.KubeConfig();
      one.loadFromFile(path);
      for (const [user, file] of await readTokenFiles(path))
        if (!tokenFiles.has(user)) tokenFiles.set(user, file);
      if (one !== config) config.mergeConfig(one);
    }
    if (context !== undefined) config.setCurrentContext(context);
  } catch (error) {
    throw unusable(paths, reasonOf(error), error);
  }
  if (config.getContextObject(config.getCurrentContext()) === null)
    throw unusable(paths, `it has no context ${JSON.stringify(config.getCurrentContext())}`);
  return { config, tokenFile: tokenFiles.get(config.getCurrentUser()?.name ?? '') };
}

const kubeconfig = z.object({
  users: z
    .array(z.object({ name: z.string(), user: z.object({ tokenFile: z.string().optional() }).nullish() }))
    .nullish(),
});

/** By user. The library knows nothing of `tokenFile`, and would ask as nobody. */
async function readTokenFiles(path: string): Promise<[user: string, tokenFile: string][]> {
  const parsed = kubeconfig.safeParse(parse(await readFile(path, 'utf8')));
  return (parsed.data?.users ?? []).flatMap(({ name, user }) =>
    user?.tokenFile === undefined ? [] : [[name, resolve(dirname(path), user.tokenFile)]],
  );
}

function readServer(server: string | undefined, paths: string): string {
  const text = server ?? '';
  if (!URL.canParse(text)) throw unusable(paths, `the server ${JSON.stringify(text)} is no URL`);
  const { protocol, host, pathname } = new URL(text);
  if (protocol !== 'https:' && protocol !== 'http:')
    throw unusable(paths, `the server ${JSON.stringify(text)} is neither https nor http`);
  return `${protocol}//${host}${pathname.replace(/\/+$/, '')}`;
}

async function credentialsOf({ config, tokenFile }: Loaded, paths: string): Promise<KubeCredentials> {
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
  if (tokenFile !== undefined) {
    const token = await readFile(tokenFile, 'utf8').catch((error: unknown) => {
      throw unusable(paths, `its token file can't be read: ${reasonOf(error)}`, error);
    });
    headers.authorization = `Bearer ${token.trim()}`;
  }
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
async function stampOf(paths: string): Promise<string> {
  const stamps = paths.split(delimiter).map(async (path) => {
    if (path === '') return '';
    const { mtimeMs, ino, size } = await stat(path).catch(() => ({ mtimeMs: 0, ino: 0, size: 0 }));
    return `${mtimeMs} ${ino} ${size}`;
  });
  return (await Promise.all(stamps)).join();
}

function unusable(paths: string, why: string, cause?: unknown): GuardianError {
  return new GuardianError('kubernetes.credentials', `the kubeconfig ${paths} can't be used: ${why}`, {
    hint: 'check it with `kubectl config view` and `kubectl get --raw /version`, or name another with --kubeconfig',
    cause,
  });
}
