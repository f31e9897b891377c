import { GuardianError } from '../../guardian-error.ts';
import { serveSlots } from '../slot-service.ts';
import { type Judgement, judge } from './judge.ts';
import { SnapshotDigest } from './snapshot-digest.ts';
import { SnapshotPass } from './snapshot-pass.ts';
import type { KeyGrouping } from './snapshot-verdict.ts';
import type { VerifierQuestion, VerifierWorkerOptions } from './verifier-protocol.ts';

/** The worker of `startVerifierThread`. */
await serveSlots(async (given) => {
  const options = given as VerifierWorkerOptions;
  const grouping = options.grouping === undefined ? undefined : await loadGrouping(options.grouping);
  const pass = new SnapshotPass({ ...options, grouping });
  const digest = new SnapshotDigest();
  let judgement: Judgement | undefined;
  const conclude = (): Judgement => {
    const hashes = digest.finish();
    return judge(pass.finish(hashes), hashes, grouping);
  };
  const judged = (): Judgement => {
    if (judgement === undefined) throw new Error('the snapshot was not finished');
    return judgement;
  };
  return {
    write(bytes) {
      digest.update(bytes);
      pass.write(bytes);
    },
    answer(asked) {
      const question = asked as VerifierQuestion;
      switch (question.kind) {
        case 'finish':
          judgement ??= conclude();
          return judgement.data;
        case 'hashKVAt':
          return judged().history.hashKVAt(question.point);
        case 'entryAt':
          return judged().history.entryAt(question.revision);
        case 'sampleLiveEntries':
          return judged().history.sampleLiveEntries(question.count);
        case 'liveEntriesOf':
          return judged().history.liveEntriesOf(question.groups);
      }
    },
  };
});

async function loadGrouping({
  module,
  factory,
  options,
}: NonNullable<VerifierWorkerOptions['grouping']>): Promise<KeyGrouping> {
  const exports = (await import(module)) as Record<string, unknown>;
  const make = exports[factory];
  if (typeof make !== 'function') {
    throw new GuardianError('verify.grouping', `${module} exports no function ${factory}`);
  }
  return (make as (options: unknown) => KeyGrouping)(options);
}
