import { readFileSync } from 'node:fs';
import { truncate } from 'node:fs/promises';
import { deserialize } from 'node:v8';
import { connectAgent } from '../../../lib/agent-api/agent-client.ts';
import { systemClock } from '../../../lib/clock.ts';
import { GuardianError, reasonOf } from '../../../lib/guardian-error.ts';
import { credentialFolder } from '../../../lib/pki/credential-folder.ts';
import { coordinateRestore } from '../../../lib/restore/cluster/coordinate-restore.ts';
import { agentParticipant } from '../../../lib/restore/cluster/participant.ts';
import type { CoordinatorTask } from './coordinator.ts';

// A coordinator that a test may end by kill -9. As patient as any, but its time may pass faster where it waits for agents.
const task = deserialize(readFileSync(process.argv[2] ?? '')) as CoordinatorTask;
const credentials = credentialFolder(task.credentials);
const clients = task.nodes.map(({ node, address }) =>
  connectAgent({ node, address, credentials, clock: systemClock }),
);
const outcome = await coordinateRestore(
  task.order,
  clients.map((client) => agentParticipant(client, 0, systemClock)),
  {
    holder: task.holder,
    isOurs: (holder) => holder === 'controlplane/test',
    onStep({ step, update }) {
      if (update === undefined) say(`step ${step}`);
    },
    async beforeQuiesce() {
      if (task.truncated !== undefined) await truncate(task.truncated, 4096);
    },
    budgets: task.budgets,
    waiting: {
      nowMs: () => performance.now() * task.faster,
      pause: (ms) => new Promise((resolve) => setTimeout(resolve, ms)),
    },
    signal: new AbortController().signal,
  },
);
const failure = 'failure' in outcome ? outcome.failure : outcome.trouble;
const code = failure instanceof GuardianError ? failure.code : '';
say(`outcome ${outcome.kind} [${code}] ${failure === undefined ? '' : reasonOf(failure)}`);
// gRPC may still wait for a node that doesn't answer.
process.exit();

function say(text: string): void {
  process.stdout.write(`${text}\n`);
}
