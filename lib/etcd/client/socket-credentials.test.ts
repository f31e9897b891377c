import { test } from 'node:test';
import { destroyWhileReading } from '../../../test/harness/destroy-while-reading.ts';
import { parseEndpoint } from './endpoint.ts';
import { SocketCredentials } from './socket-credentials.ts';

test('sockets are destroyed in the middle of an answer without harm', async () => {
  const route = {
    endpoint: parseEndpoint('https://127.0.0.1:2379', true),
    material: { ca: undefined, identity: undefined },
    ...{ complaint: undefined, serverName: undefined, insecureSkipVerify: true },
  };
  for (let round = 0; round < 3; round++) await destroyWhileReading(new SocketCredentials(route));
});
