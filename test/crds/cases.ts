/** A resource without what every test has the same. */
export type Fields = Readonly<Record<string, unknown>>;

/** What is sent to an API server, and what it says to it. */
export interface Case {
  readonly what: string;
  readonly name?: string;
  readonly spec: Fields;
  /** Absent: it is accepted. */
  readonly refused?: RegExp;
}

/** What an update changes, and what the API server says to it. */
export interface Change {
  readonly what: string;
  readonly before: Fields;
  readonly after: Fields;
  readonly refused?: RegExp;
}

export const S3 = { provider: 'S3', bucket: 'backups', region: 'eu-west-1', credentialsSecret: 'keys' };
export const ALICE = {
  username: 'alice',
  uid: '1',
  groups: ['ops'],
  extra: { 'example.com/scopes': ['a', 'b'] },
};
