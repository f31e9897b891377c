import { ALICE, type Case, type Change, type Fields, S3 } from './cases.ts';

const TEMPLATE = { spec: { backupMode: 'Incremental', storageLocation: S3 } };
const schedule = (fields: Fields): Fields => ({ schedule: '0 * * * *', backupTemplate: TEMPLATE, ...fields });
const template = (fields: Fields): Fields =>
  schedule({ backupTemplate: { spec: { ...TEMPLATE.spec, ...fields } } });

export const SCHEDULE_CASES: readonly Case[] = [
  { what: 'the least', spec: schedule({}) },
  {
    what: 'everything',
    name: 'n'.repeat(47),
    spec: schedule({
      timeZone: 'America/Argentina/Buenos_Aires',
      suspend: true,
      startingDeadlineSeconds: 600,
      concurrencyPolicy: 'Replace',
      aiOptimization: { enabled: true, minInterval: '1h', maxInterval: '1h' },
      backupTemplate: { ...TEMPLATE, metadata: { labels: { a: 'b' }, annotations: { c: 'd' } } },
      requestedBy: ALICE,
    }),
  },
  { what: 'a longer name', name: 'n'.repeat(48), spec: schedule({}), refused: /at most 47 characters/ },
  { what: 'nothing', spec: {}, refused: /(?=.*spec\.backupTemplate: Required).*spec\.schedule: Required/s },
  ...['', 'hourly', '0 * * *'].map((text) => ({
    what: `schedule "${text}"`,
    spec: schedule({ schedule: text }),
    refused: /spec\.schedule/,
  })),
  ...['../etc/passwd', '/etc/localtime', 'Europe/', 'a b'].map((timeZone) => ({
    what: `time zone "${timeZone}"`,
    spec: schedule({ timeZone }),
    refused: /spec\.timeZone: Invalid value/,
  })),
  {
    what: 'no deadline at all',
    spec: schedule({ startingDeadlineSeconds: 0 }),
    refused: /startingDeadlineSeconds/,
  },
  {
    what: 'another policy',
    spec: schedule({ concurrencyPolicy: 'Queue' }),
    refused: /concurrencyPolicy: Unsupported/,
  },
  {
    what: 'intervals the wrong way round',
    spec: schedule({ aiOptimization: { minInterval: '6h', maxInterval: '90m' } }),
    refused: /minInterval is at most maxInterval/,
  },
  { what: 'one interval', spec: schedule({ aiOptimization: { maxInterval: '6h' } }) },
  {
    what: 'an interval in days',
    spec: schedule({ aiOptimization: { minInterval: '1d' } }),
    refused: /minInterval: Invalid/,
  },
  // What a template says is judged as in a backup.
  {
    what: 'a template without a mode',
    spec: schedule({ backupTemplate: { spec: { storageLocation: S3 } } }),
    refused: /backupTemplate\.spec\.backupMode: Required/,
  },
  {
    what: 'a template without a region',
    spec: template({ storageLocation: { provider: 'OSS', bucket: 'bb' } }),
    refused: /region is required/,
  },
  {
    what: 'a template without a key',
    spec: template({ encryption: { enabled: true } }),
    refused: /encryption needs a key/,
  },
  {
    what: 'a template with plain http',
    spec: template({ etcdEndpoints: ['http://a'], etcdCertificates: { ca: 'a' } }),
    refused: /must be https/,
  },
  {
    what: 'one Velero name for many runs',
    spec: template({ veleroIntegration: { backupName: 'v' } }),
    refused: /backupName is for a single backup/,
  },
  {
    what: 'a schedule inside a schedule',
    spec: template({ schedule: '@daily' }),
    refused: /unknown field "spec\.backupTemplate\.spec\.schedule"/,
  },
  {
    what: 'a forged requester of the runs',
    spec: template({ requestedBy: ALICE }),
    refused: /unknown field "spec\.backupTemplate\.spec\.requestedBy"/,
  },
  {
    what: 'a name for the runs',
    spec: schedule({ backupTemplate: { ...TEMPLATE, metadata: { name: 'x' } } }),
    refused: /unknown field "spec\.backupTemplate\.metadata\.name"/,
  },
];

const stamped = schedule({ requestedBy: ALICE });

export const SCHEDULE_CHANGES: readonly Change[] = [
  { what: 'it is suspended', before: stamped, after: { ...stamped, suspend: true } },
  {
    what: 'its template changes, by another user',
    before: stamped,
    after: { ...template({ deletionPolicy: 'Delete' }), requestedBy: { username: 'bob' } },
  },
  {
    what: 'its stamp is removed',
    before: stamped,
    after: schedule({}),
    refused: /requestedBy can't be removed/,
  },
];
