/**
 * A process that runs for leader, for tests that stop and kill it: `candidate.fixture.ts KUBECONFIG NAMESPACE LEASE
 * LEASE_MS RENEW_DEADLINE_MS RETRY_MS`. While it leads, it writes into ConfigMap `written` as fast as it can, only
 * while it leads, and says each resourceVersion that it got.
 */
import { connectKube } from './connect-kube.ts';
import { runElection } from './leader-election.ts';
import { pause } from './pause.ts';

const [kubeconfig, namespace = '', name = '', leaseMs, renewDeadlineMs, retryMs] = process.argv.slice(2);
const maps = { group: '', version: 'v1', plural: 'configmaps' };
const say = (text: string): void => {
  process.stdout.write(`${text}\n`);
};

using connection = await connectKube({ kubeconfig, perSecond: 10_000, burst: 10_000 });
const never = new AbortController();
await runElection({
  ...{ client: connection, namespace, name, identity: 'child', signal: never.signal },
  durations: { leaseMs: Number(leaseMs), renewDeadlineMs: Number(renewDeadlineMs), retryMs: Number(retryMs) },
  lead: async (signal, term) => {
    say('leads');
    const guarded = connection.guardedBy(() => {
      term.requireLeading();
    });
    for (let count = 0; !signal.aborted; count += 1) {
      try {
        const written = await guarded.mergePatch(
          { resource: maps, namespace, name: 'written' },
          { data: { by: 'child', count: String(count) } },
        );
        say(`wrote ${written.metadata.resourceVersion ?? ''}`);
      } catch (error) {
        say(`failed ${String(error)}`);
        // Timers must have their turn.
        await pause(10);
      }
    }
    say('lost');
  },
});
