import type { EtcdRestoreSpec } from '../../lib/kubernetes/api/etcd-restore-spec.ts';
import { impossibleEndpoint } from '../../lib/kubernetes/rights/tenant-endpoints.ts';
import { CONTENT, invalid, type Objection, type Policy, verdict } from '../policy.ts';
import { askedOf, isAsked } from '../subject.ts';
import { hookProblems } from './backup.ts';

/** What belongs together in a restore. */
export const restore: Policy = {
  name: 'restore',
  concerns: (admission) => isAsked(admission) && admission.kind === 'EtcdRestore',
  judge(admission) {
    const asked = askedOf(admission);
    return asked?.kind === 'EtcdRestore' ? verdict(problems(asked.spec)) : CONTENT;
  },
};

function* problems(spec: EtcdRestoreSpec): Generator<Objection> {
  const { backupName, snapshotLocation, storageLocation, encryption, restoreMode, etcdCluster } = spec;
  if (backupName === undefined && snapshotLocation === undefined)
    yield invalid('spec', 'a restore needs backupName or snapshotLocation');
  if (snapshotLocation === undefined && (storageLocation !== undefined || encryption !== undefined))
    yield invalid(
      'spec',
      'storageLocation and encryption belong to a snapshotLocation; a backupName knows its own',
    );
  if (snapshotLocation !== undefined) yield* placeProblems(snapshotLocation);
  const targets = [spec.targetRevision, spec.targetTime].filter((target) => target !== undefined);
  if (targets.length !== (restoreMode === 'PointInTime' ? 1 : 0))
    yield invalid(
      'spec',
      'restoreMode PointInTime needs either targetRevision or targetTime; the other modes have neither',
    );
  const { dataDir } = etcdCluster ?? {};
  if (dataDir !== undefined && !isFolder(dataDir))
    yield invalid('spec.etcdCluster.dataDir', 'dataDir is an absolute path without "." and ".."');
  yield* hookProblems('spec.preRestoreHooks', spec.preRestoreHooks);
  yield* hookProblems('spec.postRestoreHooks', spec.postRestoreHooks);
}

function isFolder(path: string): boolean {
  const isBelowRoot = path.startsWith('/') && path.length > 1 && !/\p{Cc}/u.test(path);
  return isBelowRoot && !path.split('/').some((part) => part === '.' || part === '..');
}

const SCHEMES = ['s3:', 'oss:', 'gs:', 'gcs:', 'azure:', 'file:'];
/** Others would name files of the node, or change what is believed of the store. */
const OPTIONS = ['endpoint', 'region', 'pathStyle', 'revision'];

function* placeProblems(place: string): Generator<Objection> {
  const field = 'spec.snapshotLocation';
  const url = URL.parse(place);
  if (url === null || !SCHEMES.includes(url.protocol)) {
    yield invalid(field, `it begins with one of ${SCHEMES.map((scheme) => `${scheme}//`).join(', ')}`);
    return;
  }
  if (url.username !== '' || url.password !== '')
    yield invalid(field, 'it holds no credentials; those are in storageLocation');
  if (url.hash !== '') yield invalid(field, 'it has no # part');
  const written = /^[a-z0-9]+:\/\/[^/?#]*([^?#]*)/.exec(place)?.[1] ?? '';
  const isPlain =
    !/%2e|%2f|%00|\\/i.test(written) && !written.split('/').some((part) => part === '.' || part === '..');
  if (!isPlain) yield invalid(field, 'it is a plain path without "." and ".."');
  for (const [name, value] of url.searchParams) {
    const impossible = name === 'endpoint' ? impossibleEndpoint(value) : undefined;
    if (!OPTIONS.includes(name))
      yield invalid(field, `it has no option ${JSON.stringify(name)}; there are ${OPTIONS.join(', ')}`);
    else if (impossible !== undefined) yield invalid(field, `its endpoint ${impossible}`);
    else if (name === 'revision' && !/^\d{1,19}$/.test(value))
      yield invalid(field, `${JSON.stringify(value)} is no revision`);
  }
}
