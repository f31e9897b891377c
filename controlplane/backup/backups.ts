import type { Controller } from '../controller.ts';
import type { ControlPlaneTools } from '../tools.ts';
import { backupController } from './backup-controller.ts';
import { backupRuns } from './backup-runs.ts';

/** The controller of EtcdBackups, with all ways to make them. */
export function backups(tools: ControlPlaneTools): Controller {
  return backupController(tools, { runs: backupRuns(tools.settings.externalBackups) });
}
