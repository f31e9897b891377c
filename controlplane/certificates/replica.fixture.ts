import { systemClock } from '../../lib/clock.ts';
import { formatKeyFile } from '../../lib/encryption/key-file.ts';
import { createKeys } from '../../lib/encryption/keys.ts';
import type { KnownAgent } from '../agents/agent-directory.ts';
import type { Controller } from '../controller.ts';
import { base64, CONFIG_MAPS, type ConfigMap, NAMESPACES, type Secret, SECRETS } from '../core-resources.ts';
import { type Installation, type LogLine, recordedLog } from '../installation.fixture.ts';
import { controlPlaneMetrics } from '../metrics.ts';
import { controlPlaneSettings } from '../settings.ts';
import { authorityStore } from './authority-store.ts';
import { type CertificateKeeper, certificateKeeper } from './certificate-keeper.ts';
import { certificatesController } from './certificates-controller.ts';
import { type SigningKeeper, signingKeeper } from './signing-keeper.ts';

/** One replica's certificates in a namespace of its own. */
export interface Replica {
  readonly namespace: string;
  readonly keeper: CertificateKeeper;
  readonly signing: SigningKeeper;
  readonly controller: Controller;
  readonly told: string[];
  readonly lines: LogLine[];
  reconcile(): Promise<void>;
  secret(name: string): Promise<Secret>;
  trust(): Promise<Readonly<Record<string, string>>>;
}

export interface ReplicaOptions {
  readonly clock?: () => Date;
  readonly agents?: () => readonly KnownAgent[];
}

let count = 0;
let signingKeys: Promise<string> | undefined;

/** With signing keys in it, which take a second or two to make, unless they shall be made. */
export async function newNamespace(it: Installation, withKeys = true): Promise<string> {
  const name = `guardian-${(count += 1)}`;
  await it.kube.create(NAMESPACES, undefined, { metadata: { name } });
  if (withKeys) {
    signingKeys ??= createKeys('test', new Date()).then(({ keys }) => base64(formatKeyFile(keys)));
    const data = { key: await signingKeys };
    await it.kube.create(SECRETS, name, { metadata: { name: 'etcdguardian-signing' }, data });
  }
  return name;
}

export function replica(it: Installation, namespace: string, options: ReplicaOptions = {}): Replica {
  const { clock = systemClock, agents = () => [] } = options;
  const { kube, cluster } = it;
  const settings = controlPlaneSettings({}, { namespace, webhookConfigurations: `of=${namespace}` });
  const { log, lines } = recordedLog();
  const told: string[] = [];
  const tell = (_about: object, reason: string): void => {
    told.push(reason);
  };
  const keeper = certificateKeeper(`etcdguardian-controlplane.${namespace}.svc`, clock);
  const signing = signingKeeper({ kube, clock, reference: { namespace, name: settings.signingSecret } });
  const store = authorityStore({ kube, clock, scope: { cluster, namespace }, settings });
  const tools = {
    ...{ kube, namespace, settings, clock, log, credentials: keeper, metrics: controlPlaneMetrics() },
  };
  const controller = certificatesController(
    {
      ...tools,
      audit: () => undefined,
      events: { normal: tell, warning: tell },
      agents: { list: agents },
    },
    { store, keeper, signing },
  );
  const signal = new AbortController().signal;
  return {
    ...{ namespace, keeper, signing, controller, told, lines },
    async reconcile() {
      await controller.reconcile('certificates', signal);
    },
    secret: (name) => kube.get<Secret>({ resource: SECRETS, namespace, name }),
    async trust() {
      const map = await kube.get<ConfigMap>({
        resource: CONFIG_MAPS,
        namespace,
        name: settings.trustConfigMap,
      });
      return map.data ?? {};
    },
  };
}

export function fingerprint({ keeper }: Replica): string | undefined {
  return keeper.bundle?.signer.certificate.fingerprint256;
}
