import type { BackupResult } from '../../lib/agent-api/task-messages.ts';
import { GuardianError } from '../../lib/guardian-error.ts';
import type { BackupOutcome } from './backup-run.ts';

/** What an agent says it made. Throws `agent.protocol` where that makes no sense. */
export function reportedBackup(result: BackupResult, node: string): BackupOutcome {
  const { point, validation } = result;
  const verdict = VERDICTS.find((one) => one === validation?.verdict);
  const proof = PROOFS.find((one) => one === validation?.proof);
  if (point === undefined || validation === undefined || verdict === undefined || proof === undefined)
    throw new GuardianError('agent.protocol', `the agent of ${node} told a result without its parts`, {
      hint: 'Agent and control plane must be of the same version: finish the upgrade.',
    });
  return { ...result, point, validation: { ...validation, verdict, proof } };
}

const VERDICTS = ['Sound', 'Skipped'] as const;
const PROOFS = ['LiveHash', 'CompactionHash', 'None'] as const;
