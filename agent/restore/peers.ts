import { connectAgent } from '../../lib/agent-api/agent-client.ts';
import type { Clock } from '../../lib/clock.ts';
import { errorText } from '../../lib/log-lines.ts';
import { type PeerAnswer, peerAnswer } from '../../lib/restore/cluster/decide-alone.ts';
import type { JournalEntry } from '../../lib/restore/cluster/journal.ts';
import type { CredentialSource } from '../../lib/pki/credential-folder.ts';

/** The other nodes of a restore, as one of them asks them how far they are. */
export interface Peers {
  /** All answers; one without a fate for each that is away. Never rejects but with the signal's reason. */
  ask(entry: JournalEntry, signal: AbortSignal): Promise<readonly PeerAnswer[]>;
}

export interface PeersTools {
  /** The node that asks. */
  readonly node: string;
  /** Of its agent: agents may ask each other for the status of a restore, and nothing else. */
  readonly credentials: CredentialSource;
  readonly clock: Clock;
  readonly onAway: (node: string, why: string) => void;
}

const ASK_MS = 10_000;

export function agentPeers({ node: own, credentials, clock, onAway }: PeersTools): Peers {
  return {
    ask: async ({ operation, plan }, signal) =>
      await Promise.all(
        plan.members
          .filter(({ node }) => node !== own)
          .map(async ({ node, agentAddress: address }) => {
            const agent = connectAgent({ node, address, credentials, clock });
            try {
              return peerAnswer(
                node,
                await agent.restoreStatus({ operation }, { signal, timeoutMs: ASK_MS }),
              );
            } catch (error) {
              signal.throwIfAborted();
              onAway(node, errorText(error));
              return peerAnswer(node, undefined);
            } finally {
              agent.close();
            }
          }),
      ),
  };
}
