import { test } from 'node:test';
import { destroyWhileReading } from '../../test/harness/destroy-while-reading.ts';
import { AgentSocketCredentials } from './agent-socket-credentials.ts';

test('sockets are destroyed in the middle of an answer without harm', async () => {
  for (let round = 0; round < 3; round++)
    await destroyWhileReading(new AgentSocketCredentials({ rejectUnauthorized: false }));
});
