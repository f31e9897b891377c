import { once } from 'node:events';
import { connect as http2, createSecureServer, type ServerHttp2Stream } from 'node:http2';
import { type AddressInfo, connect as tcp } from 'node:net';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import type { ChannelCredentials } from '@grpc/grpc-js';
import { createAuthority } from './certificates.ts';

/**
 * Ends a connection of HTTP/2 made with these credentials of a client as whoever awaits an answer may: within the very read
 * that brought it, before its last bytes are deciphered; then collects garbage there. A crash ends the process.
 */
export async function destroyWhileReading(
  credentials: ChannelCredentials & { destroySockets(): void },
): Promise<void> {
  await using authority = await createAuthority();
  const { key, certificate: cert } = await authority.issue();
  const server = createSecureServer({ key, cert });
  server.on('stream', (stream: ServerHttp2Stream) => {
    stream.on('error', () => undefined);
    stream.respond();
    stream.end(Buffer.alloc(30_000));
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  const plain = tcp(port, '127.0.0.1');
  await once(plain, 'connect');
  const { socket } = await credentials._createSecureConnector({ scheme: 'dns', path: '' }, {}).connect(plain);
  const session = http2(`https://127.0.0.1:${port}`, { createConnection: () => socket });
  session.on('error', () => undefined);
  const call = session.request({ ':path': '/' }).on('error', () => undefined);
  await once(call, 'response');
  credentials.destroySockets();
  const collect = garbageCollector();
  for (let turn = 0; turn < 5; turn++) {
    await new Promise<void>((resolve) => {
      process.nextTick(resolve);
    });
    collect();
    // What was freed is taken again.
    new Date().toLocaleString('de');
  }
  server.close();
  await once(server, 'close');
}

function garbageCollector(): () => void {
  setFlagsFromString('--expose-gc');
  return runInNewContext('gc') as () => void;
}
