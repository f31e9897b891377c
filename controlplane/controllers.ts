import { backups } from './backup/backups.ts';
import type { Controller } from './controller.ts';
import { drills } from './drill/drill-controller.ts';
import { retention } from './retention/retention-controller.ts';
import { storedData } from './retention/stored-data.ts';
import { captures } from './schedule/capture-controller.ts';
import { recurringBackups, schedules } from './schedule/schedule-controller.ts';
import { restoreCare, restores } from './restore/restores.ts';
import type { ControlPlaneTools } from './tools.ts';

export type ControllerFactory = (tools: ControlPlaneTools) => Controller;

/** Every controller, one line each; they run while this replica leads. */
export const CONTROLLERS: readonly ControllerFactory[] = [
  backups,
  recurringBackups,
  schedules,
  retention,
  storedData,
  captures,
  restores,
  restoreCare,
  drills,
];
