import { agentRun } from './agent-run.ts';
import type { BackupRuns } from './attempt-backup.ts';
import { inProcessRun } from './in-process-run.ts';
import { Places } from './places.ts';

/**
 * All ways in which backups are made; `external`: how many of this process' own at a time; `patienceMs`: how long agents at
 * work may be away. What reads etcd and stores is much code, which only who needs it loads.
 */
export function backupRuns(external: number, patienceMs?: number): BackupRuns {
  return {
    agent: agentRun(patienceMs),
    inProcess: inProcessRun(new Places(external)),
    namespaces: async (run) => {
      const { runNamespaceBackup } = await import('../namespace-backup/run-namespace-backup.ts');
      return await runNamespaceBackup(run);
    },
  };
}
