import { setTimeout as delay } from 'node:timers/promises';
import type { Clock } from '../clock.ts';
import type { EtcdClient, MemberStatus } from '../etcd/client/etcd-client.ts';
import { startVerifierThread, type VerifierThread } from '../etcd/mvcc/verifier-thread.ts';
import type { SnapshotVerdictData } from '../etcd/mvcc/snapshot-verdict.ts';
import { GuardianError, reasonOf } from '../guardian-error.ts';
import { ENCRYPTED_VALUES } from '../keyspace/keys-needed.ts';
import type { Manifest, Proof } from '../repository/manifest.ts';
import type { BackupWriter, Repository, SoundBackup } from '../repository/repository.ts';
import { backupFacts } from './backup-facts.ts';
import type { ChosenSource } from './choose-source.ts';
import { clusterName } from './cluster-name.ts';
import { FailedMembers } from './failed-members.ts';
import { type AttachmentSource, type StoredAttachments, storeAttachments } from './store-attachments.ts';
import { proveByPolicy, type ProofPolicy } from './proof-policy.ts';
import { verifiedStream, type StreamProgress } from './verified-stream.ts';

export interface FullBackupRequest {
  /** Left out: the uid of namespace kube-system. */
  readonly cluster?: string | undefined;
  readonly proof: ProofPolicy;
  /** How long etcd may be kept streaming before the attempt is given up. */
  readonly streamLimitMs: number;
  /** Tries in all, each with the best member that hasn't failed yet. */
  readonly attempts: number;
  readonly retainUntil?: Date | undefined;
  readonly requester?: Manifest['requester'];
  readonly labels?: Readonly<Record<string, string>> | undefined;
}

export interface FullBackupTools {
  readonly client: EtcdClient;
  readonly repository: Repository;
  readonly clock: Clock;
  /** What is taken along beside etcd's data; undefined: nothing. */
  readonly attachments?: AttachmentSource | undefined;
  readonly onEvent: (event: BackupEvent) => void;
  readonly signal?: AbortSignal | undefined;
}

/** What happens during a backup, for whoever watches. */
export type BackupEvent =
  | { readonly kind: 'source'; readonly source: ChosenSource; readonly cluster: string }
  | ({ readonly kind: 'streaming' } & StreamProgress)
  | { readonly kind: 'streamed'; readonly verdict: SnapshotVerdictData }
  | { readonly kind: 'proving'; readonly endpoint: string }
  | { readonly kind: 'proof'; readonly proof: Proof; readonly sourceId: bigint }
  | { readonly kind: 'uploaded'; readonly storedSize: number }
  | ({ readonly kind: 'attachments' } & StoredAttachments)
  /** From here on until `fullBackup` tells how it went, the backup may be committed or not. */
  | { readonly kind: 'committing'; readonly id: string }
  | {
      readonly kind: 'attempt-failed';
      readonly endpoint: string;
      readonly error: unknown;
      readonly again: boolean;
    };

export interface FullBackup {
  readonly backup: SoundBackup;
  readonly verdict: SnapshotVerdictData;
  readonly source: ChosenSource;
  /** Why this backup begins a new timeline; undefined when an older one goes on. */
  readonly timelineReason: string | undefined;
}

/**
 * One full snapshot of a live etcd into a repository: streamed, verified while it passes, compressed, sealed, stored,
 * compared with a live member, and only then committed by its manifest. Nothing is listed, and nothing but sweepable
 * remains is left, when it rejects or its process dies before that.
 *
 * A member that fails is left for another one. Rejects with the client's, store's and repository's errors, and with
 * `backup.unsound` (the member streamed a damaged database), `backup.hash-mismatch` (members differ),
 * `backup.unproven` (proof was required), `backup.stream-limit`, `backup.cluster-name`.
 */
export async function fullBackup(request: FullBackupRequest, tools: FullBackupTools): Promise<FullBackup> {
  const cluster = await clusterName(tools.client, request.cluster, tools.signal);
  const failed = new FailedMembers();
  const choose = (): Promise<ChosenSource> =>
    failed.nextSource(tools.client, { listedMembers: request.proof.listedMembers, signal: tools.signal });
  for (let attempt = 1; ; attempt++) {
    const source = await choose();
    tools.onEvent({ kind: 'source', source, cluster });
    try {
      return await attemptBackup(request, tools, cluster, { source, membersDiffer: failed.anyDiffer });
    } catch (error) {
      tools.signal?.throwIfAborted();
      const again = failed.record(source, error) === 'again' && attempt < request.attempts;
      tools.onEvent({ kind: 'attempt-failed', endpoint: source.endpoint, error, again });
      if (!again) throw error;
      await delay(RETRY_DELAY_MS * attempt, undefined, { signal: tools.signal });
    }
  }
}

const RETRY_DELAY_MS = 1000;

interface Attempt {
  readonly source: ChosenSource;
  /** True when members were found to hold different data. */
  readonly membersDiffer: boolean;
}

async function attemptBackup(
  request: FullBackupRequest,
  tools: FullBackupTools,
  cluster: string,
  attempt: Attempt,
): Promise<FullBackup> {
  const { client, repository, signal } = tools;
  const { source } = attempt;
  await using verifier = startVerifierThread({
    trailer: 'required',
    grouping: KUBERNETES_GROUPING,
    valuePrefixes: ENCRYPTED_VALUES,
  });

  // 1. Reserve a place; nothing there counts before the commit.
  const writer = await repository.beginBackup(
    {
      cluster,
      etcdClusterId: source.status.header.clusterId,
      clusterRevision: source.clusterRevision,
      latestRevision: async () =>
        (await client.range('\0', { limit: 1, keysOnly: true, signal })).header.revision,
      retainUntil: request.retainUntil,
    },
    { signal },
  );
  try {
    // 2. Stream, verify and store the same passing bytes; judge and prove as soon as the last one came.
    const { sender, verdict, proof } = await streamAndJudge(request, tools, attempt, verifier, writer);

    // 3. What of the node goes along.
    const attached = await storeAttachments(tools.attachments, writer, signal);
    if (attached !== undefined) tools.onEvent({ kind: 'attachments', ...attached });

    // 4. Commit.
    const anchors = await verifier.sampleLiveEntries(ANCHORS);
    const facts = {
      ...backupFacts({ status: sender, memberName: nameOf(sender, source) }, verdict, anchors, proof),
      attachmentsLeftOut: attached?.leftOut,
      ...(request.requester === undefined ? {} : { requester: request.requester }),
      ...(request.labels === undefined ? {} : { labels: request.labels }),
    };
    const onWriting = (): void => {
      tools.onEvent({ kind: 'committing', id: writer.id });
    };
    const backup = await writer.commit(facts, verifier, { signal, onWriting });
    return { backup, verdict, source, timelineReason: writer.timelineReason };
  } catch (error) {
    await writer.discard({ signal: AbortSignal.timeout(DISCARD_MS) }).catch(() => undefined);
    throw error;
  }
}

const KUBERNETES_GROUPING = {
  module: new URL('../keyspace/key-grouping.ts', import.meta.url),
  factory: 'keyGrouping',
};
/** How many entries recognise a history again; see `Anchor`. */
const ANCHORS = 64;
/** Tidying up after a failure may take this long; what is left is swept later. */
const DISCARD_MS = 15_000;

function nameOf({ header }: MemberStatus, { memberNames }: ChosenSource): string {
  return memberNames.get(header.memberId) ?? '';
}

interface Judged {
  /** Who streamed: behind a load balancer not always the member that was chosen. */
  readonly sender: MemberStatus;
  readonly verdict: SnapshotVerdictData;
  readonly proof: Proof;
}

async function streamAndJudge(
  request: FullBackupRequest,
  tools: FullBackupTools,
  { source, membersDiffer }: Attempt,
  verifier: VerifierThread,
  writer: BackupWriter,
): Promise<Judged> {
  const failure = new AbortController();
  const signals = tools.signal === undefined ? [failure.signal] : [failure.signal, tools.signal];
  const signal = AbortSignal.any(signals);
  const limit = setTimeout(() => {
    failure.abort(streamLimitReached(request.streamLimitMs));
  }, request.streamLimitMs);
  const streamed = Promise.withResolvers<undefined>();
  const snapshot = tools.client.snapshot(source.endpoint, { signal });

  async function* passing(): AsyncGenerator<Uint8Array, void> {
    yield* verifiedStream(snapshot, verifier, (progress) => {
      tools.onEvent({ kind: 'streaming', ...progress });
    });
    clearTimeout(limit);
    streamed.resolve(undefined);
  }
  const judge = async (): Promise<Judged> => {
    await streamed.promise;
    const verdict = await verifier.finish();
    if (!verdict.sound) throw unsound(source, verdict);
    tools.onEvent({ kind: 'streamed', verdict });
    const sender = snapshot.member ?? source.status;
    const { endpoint, header } = sender;
    const toProve = { source, sender: { endpoint, memberId: header.memberId }, verifier, verdict };
    const proof = await proveByPolicy(request.proof, tools.client, toProve, {
      everyone: membersDiffer,
      onAsk: (asked) => {
        tools.onEvent({ kind: 'proving', endpoint: asked });
      },
      ...{ clock: tools.clock, signal },
    });
    tools.onEvent({ kind: 'proof', proof, sourceId: header.memberId });
    return { sender, verdict, proof };
  };

  const storing = writer.putBase(passing(), { signal });
  try {
    // A small one is stored before it is judged; it is told when it matters.
    const [judged, { storedSize }] = await Promise.all([judge(), storing]);
    tools.onEvent({ kind: 'uploaded', storedSize });
    return judged;
  } catch (error) {
    failure.abort(error);
    // What is still being put must not appear after the caller has tidied up.
    await storing.catch(() => undefined);
    throw error;
  } finally {
    clearTimeout(limit);
  }
}

function unsound(source: ChosenSource, verdict: SnapshotVerdictData): GuardianError {
  const first = verdict.problems[0];
  return new GuardianError(
    'backup.unsound',
    `the database that ${source.endpoint} streamed is damaged: ${first?.message ?? 'no detail'} (${verdict.problemCount} problems)`,
    {
      hint: 'another member is tried if there is one; this member should be replaced: its own file is what is damaged',
    },
  );
}

function streamLimitReached(limitMs: number): GuardianError {
  return new GuardianError(
    'backup.stream-limit',
    `the snapshot did not end within ${limitMs / 1000} s; a longer stream would keep etcd from reusing its free pages`,
    {
      hint: 'the store or this machine is too slow for this database: give more spool space, or raise --stream-limit',
    },
  );
}

export function whyFailed(error: unknown): string {
  return error instanceof GuardianError ? `${error.message} [${error.code}]` : reasonOf(error);
}
