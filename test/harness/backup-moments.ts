import type { ProxiedRequest, ProxyScript } from './http-proxy.ts';

/** A moment in a backup: a request to the store that is about to be served, or was served without an answer. */
export interface BackupMoment {
  readonly step: string;
  readonly when: 'before' | 'after';
  readonly isIt: (request: ProxiedRequest) => boolean;
}

/** A request by its method and what its path and query hold. */
function request(method: string, pattern: RegExp): BackupMoment['isIt'] {
  return (sent) => sent.method === method && pattern.test(sent.url);
}

const FIRST_BACKUP: readonly (readonly [string, BackupMoment['isIt']])[] = [
  ['marking the store', request('PUT', /\/etcdguardian\.json/)],
  ['beginning the first timeline', request('PUT', /\/timeline\.json/)],
];

const EVERY_BACKUP: readonly (readonly [string, BackupMoment['isIt']])[] = [
  ['opening the store', request('GET', /\/etcdguardian\.json/)],
  ['beginning the upload', request('POST', /\?uploads/)],
  ['sending the first part', request('PUT', /[?&]partNumber=1(&|$)/)],
  ['sending a later part', request('PUT', /[?&]partNumber=2(&|$)/)],
  ['putting the parts together', request('POST', /[?&]uploadId=/)],
  ['looking once more that the data is there', request('HEAD', /\/base\.zst/)],
  ['recording the high water', request('PUT', /\/high-water\//)],
  ['writing the manifest', request('PUT', /\/manifest\.json/)],
];

function bothSides(steps: readonly (readonly [string, BackupMoment['isIt']])[]): BackupMoment[] {
  return steps.flatMap(([step, isIt]) => [
    { step, isIt, when: 'before' },
    { step, isIt, when: 'after' },
  ]);
}

/** Of a backup into an empty prefix only. */
export const FIRST_BACKUP_MOMENTS: readonly BackupMoment[] = bothSides(FIRST_BACKUP);

/** Of a backup large enough to be uploaded in parts. */
export const BACKUP_MOMENTS: readonly BackupMoment[] = bothSides(EVERY_BACKUP);

/** True when the manifest is in the store at that moment. */
export function isCommitted({ step, when }: BackupMoment): boolean {
  return step === 'writing the manifest' && when === 'after';
}

export interface CaughtMoment {
  readonly script: ProxyScript;
  /** Resolves when the moment has come; the backup waits from then on for an answer that never comes. */
  readonly caught: Promise<void>;
}

/** Lets everything pass but the first request of the moment; what comes after it passes, too. */
export function catchMoment({ isIt, when }: BackupMoment): CaughtMoment {
  const { promise: caught, resolve } = Promise.withResolvers<undefined>();
  let waiting = true;
  const whenDone = (): void => {
    resolve(undefined);
  };
  const script: ProxyScript = (sent) => {
    if (!waiting || !isIt(sent)) return { kind: 'pass' };
    waiting = false;
    if (when === 'after') return { kind: 'keep-answer', whenDone };
    whenDone();
    return { kind: 'silence' };
  };
  return { script, caught };
}
