import { once } from 'node:events';
import type { AddressInfo } from 'node:net';
import {
  connect,
  type ConnectionOptions,
  createServer,
  type Server,
  type TlsOptions,
  type TLSSocket,
} from 'node:tls';
import type { PeerIdentity } from './identity.ts';

export interface Talk {
  /** Whom the server found the client to be, or why it let nobody in. */
  readonly client: PeerIdentity | Error;
  readonly protocol: string | null;
}

/** One connection over 127.0.0.1: rejects with what the client is told, else resolves to what the server knows. */
export async function talk(
  server: TlsOptions,
  client: ConnectionOptions,
  admit: (socket: TLSSocket) => PeerIdentity,
): Promise<Talk> {
  await using listening = await listen(server);
  return await talkTo(listening, client, admit);
}

export interface Listening extends AsyncDisposable {
  readonly server: Server;
  readonly port: number;
}

export async function listen(options: TlsOptions): Promise<Listening> {
  const server = createServer(options);
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  return {
    server,
    port,
    async [Symbol.asyncDispose]() {
      server.close();
      await once(server, 'close');
    },
  };
}

export async function talkTo(
  { server, port }: Listening,
  client: ConnectionOptions,
  admit: (socket: TLSSocket) => PeerIdentity,
): Promise<Talk> {
  const { promise: accepted, resolve } = Promise.withResolvers<TLSSocket | Error>();
  server.once('secureConnection', resolve);
  server.once('tlsClientError', resolve);
  const socket = connect({ host: '127.0.0.1', port, ...client });
  try {
    await once(socket, 'secureConnect');
    const outcome = await accepted;
    if (outcome instanceof Error) return { client: outcome, protocol: socket.getProtocol() };
    // The client hangs up when it has heard the welcome, or doesn't like the server.
    outcome.on('error', () => undefined);
    const identity = admit(outcome);
    outcome.end('welcome');
    await once(socket, 'data');
    return { client: identity, protocol: socket.getProtocol() };
  } finally {
    server.removeListener('secureConnection', resolve);
    server.removeListener('tlsClientError', resolve);
    socket.destroy();
  }
}
