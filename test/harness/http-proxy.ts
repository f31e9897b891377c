import { once } from 'node:events';
import { createServer, type IncomingMessage, request, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { Readable } from 'node:stream';

/** One request on its way through a proxy. */
export interface ProxiedRequest {
  readonly method: string;
  /** Path and query, as sent. */
  readonly url: string;
  readonly headers: Readonly<Record<string, string | string[] | undefined>>;
  /** How many requests came before it. */
  readonly index: number;
}

/** What becomes of it. */
export type ProxyAction =
  | { readonly kind: 'pass' }
  /** The proxy answers by itself, having read the request's body. */
  | {
      readonly kind: 'answer';
      readonly status: number;
      readonly body?: string;
      readonly headers?: Readonly<Record<string, string>>;
    }
  /** It reaches the upstream and is answered, but the connection breaks instead of the answer. */
  | { readonly kind: 'lose-answer' }
  /** It reaches the upstream and is answered, but the answer never comes; `whenDone` is called instead. */
  | { readonly kind: 'keep-answer'; readonly whenDone: () => void }
  /** The connection breaks after this many bytes of the answer's body. */
  | { readonly kind: 'cut-answer'; readonly afterBytes: number }
  /** The connection breaks before anything reaches the upstream. */
  | { readonly kind: 'break' }
  /** Passes with one bit of the byte at this offset of its body flipped. */
  | { readonly kind: 'flip-bit'; readonly at: number }
  /** Nothing is ever answered. */
  | { readonly kind: 'silence' };

/** Decides on each request; what it awaits happens before the request goes on. */
export type ProxyScript = (request: ProxiedRequest) => ProxyAction | Promise<ProxyAction>;

/** An HTTP server before another one, which does to requests what a script says. Everything else passes unchanged. */
export interface HttpProxy extends AsyncDisposable {
  /** `http://host:port` */
  readonly endpoint: string;
  /** Every request so far, in order. */
  readonly seen: readonly ProxiedRequest[];
}

export async function startHttpProxy(upstream: string, script: ProxyScript): Promise<HttpProxy> {
  const seen: ProxiedRequest[] = [];
  const { hostname, port } = new URL(upstream);
  const handle = async (incoming: IncomingMessage, answer: ServerResponse): Promise<void> => {
    const { method = '', url = '', headers } = incoming;
    const proxied = { method, url, headers, index: seen.length };
    seen.push(proxied);
    const action = await script(proxied);
    switch (action.kind) {
      case 'answer':
        await read(incoming);
        answer.writeHead(action.status, action.headers).end(method === 'HEAD' ? undefined : action.body);
        return;
      case 'break':
        incoming.socket.resetAndDestroy();
        return;
      case 'silence':
        incoming.resume();
        return;
      case 'pass':
      case 'flip-bit':
      case 'lose-answer':
      case 'keep-answer':
      case 'cut-answer':
        await pass(incoming, answer, { hostname, port }, action);
    }
  };
  const server = createServer((incoming, answer) => {
    handle(incoming, answer).catch(() => {
      incoming.socket.destroy();
    });
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address() as AddressInfo;
  return {
    endpoint: `http://127.0.0.1:${address.port}`,
    seen,
    async [Symbol.asyncDispose]() {
      server.close();
      server.closeAllConnections();
      await once(server, 'close').catch(() => undefined);
    },
  };
}

/** What an S3 server says in an error's body. */
export function s3ErrorBody(code: string, message = 'made up by the test'): string {
  return `<?xml version="1.0" encoding="UTF-8"?><Error><Code>${code}</Code><Message>${message}</Message></Error>`;
}

async function pass(
  incoming: IncomingMessage,
  answer: ServerResponse,
  { hostname, port }: { hostname: string; port: string },
  action: ProxyAction,
): Promise<void> {
  // The very headers, Host too: signatures cover them.
  const headers = incoming.headers;
  const outgoing = request({
    hostname,
    port,
    method: incoming.method,
    path: incoming.url,
    headers,
    agent: false,
  });
  if (action.kind === 'flip-bit') Readable.from(flipped(incoming, action.at)).pipe(outgoing);
  else incoming.pipe(outgoing);
  incoming.once('close', () => {
    if (!incoming.complete) outgoing.destroy();
  });
  // An upstream that answers before it has read everything may break the connection off behind its answer.
  outgoing.on('error', () => undefined);
  const [upstream] = (await once(outgoing, 'response')) as [IncomingMessage];
  if (action.kind === 'lose-answer') {
    await read(upstream);
    incoming.socket.resetAndDestroy();
    return;
  }
  if (action.kind === 'keep-answer') {
    await read(upstream);
    action.whenDone();
    return;
  }
  answer.writeHead(upstream.statusCode ?? 502, upstream.headers);
  let left = action.kind === 'cut-answer' ? action.afterBytes : Infinity;
  for await (const chunk of upstream as AsyncIterable<Buffer>) {
    if (chunk.length > left) {
      await new Promise((resolve) => answer.write(chunk.subarray(0, left), resolve));
      upstream.destroy();
      incoming.socket.destroy();
      return;
    }
    left -= chunk.length;
    if (!answer.write(chunk)) await once(answer, 'drain');
  }
  answer.end();
}

async function* flipped(body: AsyncIterable<Buffer>, at: number): AsyncGenerator<Buffer, void> {
  let passed = 0;
  for await (const chunk of body) {
    const copy = Buffer.from(chunk);
    const flip = at - passed;
    if (flip >= 0 && flip < copy.length) copy.writeUInt8(copy.readUInt8(flip) ^ 1, flip);
    passed += copy.length;
    yield copy;
  }
}

async function read(body: IncomingMessage): Promise<void> {
  body.resume();
  if (!body.readableEnded) await once(body, 'end');
}
