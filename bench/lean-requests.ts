import { once } from 'node:events';
import { connect, type ConnectionOptions } from 'node:tls';

/** One connection that sends bytes that were made before, and looks at nothing of an answer but its status and end. */
export interface LeanConnection extends Disposable {
  /** Resolves to the status. One at a time. */
  send(request: Buffer): Promise<number>;
}

/** HTTP/1.1 without a client: what a server can do when its client costs nearly nothing. */
export async function leanConnection(url: string, trust: ConnectionOptions): Promise<LeanConnection> {
  const { hostname, port } = new URL(url);
  const socket = connect({ ...trust, host: hostname, port: Number(port), ALPNProtocols: ['http/1.1'] });
  socket.setNoDelay(true);
  await once(socket, 'secureConnect');
  let answered: ((status: number) => void) | undefined;
  let seen = '';
  socket.on('data', (chunk: Buffer) => {
    seen += chunk.toString('latin1');
    if (!isWhole(seen)) return;
    const status = Number(seen.slice(9, 12));
    seen = '';
    answered?.(status);
  });
  return {
    async send(request) {
      const { promise, resolve } = Promise.withResolvers<number>();
      answered = resolve;
      socket.write(request);
      return await promise;
    },
    [Symbol.dispose]: () => {
      socket.destroy();
    },
  };
}

/** The bytes of a request with a JSON body. */
export function requestBytes(method: string, path: string, token: string, body?: object): Buffer {
  const text = body === undefined ? '' : JSON.stringify(body);
  return Buffer.from(
    `${method} ${path} HTTP/1.1\r\nHost: kubernetes\r\nAuthorization: Bearer ${token}\r\nAccept: application/json\r\n` +
      `Content-Type: application/json\r\nContent-Length: ${Buffer.byteLength(text)}\r\n\r\n${text}`,
  );
}

function isWhole(answer: string): boolean {
  const head = answer.indexOf('\r\n\r\n');
  if (head < 0) return false;
  const length = /^content-length: (\d+)/im.exec(answer.slice(0, head))?.[1];
  return length === undefined ? answer.endsWith('\r\n0\r\n\r\n') : answer.length >= head + 4 + Number(length);
}
