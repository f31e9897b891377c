import { eventually } from './eventually.ts';
import { onFreePorts } from './free-port.ts';
import { startProcess } from './server-process.ts';
import { requireTool } from './tools.ts';

/** A fault on a connection's way. Downstream, the default, is what the server sends to the client. */
export type Toxic = { readonly direction?: 'downstream' | 'upstream' } & (
  | { readonly type: 'latency'; readonly latencyMs: number; readonly jitterMs?: number }
  | { readonly type: 'bandwidth'; readonly kilobytesPerSecond: number }
  /** The connection is reset (RST) after this long. */
  | { readonly type: 'reset_peer'; readonly afterMs: number }
  /** Nothing passes; the connection is closed after this long, with 0 never. */
  | { readonly type: 'timeout'; readonly afterMs: number }
  /** The connection is closed when this many bytes have passed. */
  | { readonly type: 'limit_data'; readonly bytes: number }
  /** A close is passed on only after this long. */
  | { readonly type: 'slow_close'; readonly delayMs: number }
  /** Bytes come in small pieces. */
  | { readonly type: 'slicer'; readonly averageBytes: number; readonly delayUs?: number }
);

/** A way to an upstream that can be made bad. */
export interface Proxy {
  /** `host:port` to connect to instead of the upstream. */
  readonly address: string;
  /** Applies to open connections too. Resolves to a function that takes it away again. */
  addToxic(toxic: Toxic): Promise<() => Promise<void>>;
  /** Closes every connection and refuses new ones, until `up()`. */
  down(): Promise<void>;
  up(): Promise<void>;
}

export interface Toxiproxy extends AsyncDisposable {
  /** Listens on a port of its own for `upstream` (`host:port`). */
  createProxy(upstream: string): Promise<Proxy>;
}

export async function startToxiproxy(): Promise<Toxiproxy> {
  return onFreePorts(1, async ([port = 0]) => {
    const server = await startProcess(requireTool('toxiproxy-server'), ['-host=127.0.0.1', `-port=${port}`]);
    const api = `http://127.0.0.1:${port}`;
    try {
      await Promise.race([
        eventually('toxiproxy answers', async () => call(api, 'GET', '/version')),
        server.exited.then(() => {
          throw new Error(`toxiproxy ended:\n${server.output()}`);
        }),
      ]);
    } catch (error) {
      await server.kill();
      throw error;
    }
    let proxies = 0;
    return {
      createProxy: (upstream) => createProxy(api, `proxy-${(proxies += 1)}`, upstream),
      [Symbol.asyncDispose]: () => server.kill(),
    };
  });
}

async function createProxy(api: string, name: string, upstream: string): Promise<Proxy> {
  const created = await call(api, 'POST', '/proxies', {
    name,
    upstream,
    listen: '127.0.0.1:0',
    enabled: true,
  });
  const { listen: address } = JSON.parse(created) as { listen: string };
  let toxics = 0;
  return {
    address,
    async addToxic(toxic) {
      const toxicName = `toxic-${(toxics += 1)}`;
      await call(api, 'POST', `/proxies/${name}/toxics`, {
        name: toxicName,
        type: toxic.type,
        stream: toxic.direction ?? 'downstream',
        attributes: attributesOf(toxic),
      });
      return async () => {
        await call(api, 'DELETE', `/proxies/${name}/toxics/${toxicName}`);
      };
    },
    async down() {
      await call(api, 'POST', `/proxies/${name}`, { enabled: false });
    },
    async up() {
      await call(api, 'POST', `/proxies/${name}`, { enabled: true });
    },
  };
}

/** In toxiproxy's names and units: milliseconds, KB/s, bytes; slicer's delay in microseconds. */
function attributesOf(toxic: Toxic): Record<string, number> {
  switch (toxic.type) {
    case 'latency':
      return { latency: toxic.latencyMs, jitter: toxic.jitterMs ?? 0 };
    case 'bandwidth':
      return { rate: toxic.kilobytesPerSecond };
    case 'reset_peer':
    case 'timeout':
      return { timeout: toxic.afterMs };
    case 'limit_data':
      return { bytes: toxic.bytes };
    case 'slow_close':
      return { delay: toxic.delayMs };
    case 'slicer':
      return {
        average_size: toxic.averageBytes,
        size_variation: Math.floor(toxic.averageBytes / 2),
        delay: toxic.delayUs ?? 0,
      };
  }
}

async function call(api: string, method: string, path: string, body?: object): Promise<string> {
  const response = await fetch(api + path, {
    method,
    // Toxiproxy refuses what looks like a browser.
    headers: { 'user-agent': 'etcdguardian-test' },
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
  });
  const text = await response.text();
  if (!response.ok) throw new Error(`toxiproxy answered ${response.status} to ${method} ${path}: ${text}`);
  return text;
}
