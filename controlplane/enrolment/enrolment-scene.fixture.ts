import { auditLog } from '../../lib/audit-log.ts';
import { systemClock } from '../../lib/clock.ts';
import { createAuthority } from '../../lib/pki/authority.ts';
import { type CertificateKeeper, certificateKeeper } from '../certificates/certificate-keeper.ts';
import {
  type Installation,
  type LogLine,
  NAMESPACE,
  recordedLog,
  startInstallation,
} from '../installation.fixture.ts';
import { controlPlaneMetrics } from '../metrics.ts';
import { startEnrolmentServer } from './enrolment-server.ts';

/** A control plane's enrolment beside a real API server. */
export interface EnrolmentScene {
  readonly it: Installation;
  readonly port: number;
  readonly keeper: CertificateKeeper;
  /** What the server logs. */
  readonly lines: LogLine[];
}

export async function enrolmentScene(stack: AsyncDisposableStack): Promise<EnrolmentScene> {
  const it = stack.use(await startInstallation());
  const { log, lines } = recordedLog();
  const keeper = certificateKeeper(`etcdguardian-controlplane.${NAMESPACE}.svc`, systemClock);
  const signer = await createAuthority({ cluster: it.cluster, namespace: NAMESPACE }, new Date());
  keeper.learn({ signer, retired: [] });
  const tools = { kube: it.kube, namespace: NAMESPACE, settings: it.settings(), keeper, log };
  const server = stack.use(
    await startEnrolmentServer(
      { ...tools, metrics: controlPlaneMetrics(), clock: systemClock, audit: auditLog(log) },
      { host: '127.0.0.1', port: 0 },
    ),
  );
  return { it, port: server.port, keeper, lines };
}
