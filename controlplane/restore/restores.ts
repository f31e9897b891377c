import type { Controller } from '../controller.ts';
import type { ControlPlaneTools } from '../tools.ts';
import { restoreCareController } from './post-care/care-controller.ts';
import { restoreController } from './restore-controller.ts';
import { RestoreRuns } from './restore-runs.ts';

/** Of this process, whoever leads: a restore takes the API server away, and with it the Lease and its leader. */
const RUNS = new RestoreRuns();

/** The controller of EtcdRestores. */
export function restores(tools: ControlPlaneTools): Controller {
  return restoreController(tools, { runs: RUNS });
}

/** What looks at the cluster behind them. */
export function restoreCare(tools: ControlPlaneTools): Controller {
  return restoreCareController(tools, { runs: RUNS });
}
