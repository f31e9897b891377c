/** A minor version of etcd, e.g. 3.6: what decides how a file may move. */
export interface MinorVersion {
  readonly major: number;
  readonly minor: number;
}

/** What a snapshot file says of the etcd that wrote it. */
export interface FileVersions {
  /** meta/storageVersion; absent up to 3.5. */
  readonly storageVersion: string | undefined;
  /** cluster/clusterVersion; absent in a file that no cluster has written yet. */
  readonly clusterVersion: string | undefined;
}

/** Changes that make a file fit for its target. */
export interface VersionEdits {
  /** Takes out meta/storageVersion, which only 3.6 and later know. */
  readonly dropStorageVersion?: boolean;
  /** Sets cluster/clusterVersion. */
  readonly clusterVersion?: string;
}

export interface VersionVerdict {
  readonly verdict: 'fine' | 'warn' | 'refuse';
  /** A sentence for the operator. */
  readonly reason: string;
  readonly edits: VersionEdits;
}

/**
 * Whether a snapshot may be restored into etcd `target` (`3.6` or `3.6.16`), and what must be changed in it. Upstream
 * supports steps of one minor version upward; a step down works where the formats allow it (they are equal from 3.4 to
 * 3.7 but for what the edits deal with), and is a warning.
 */
export function judgeVersions(file: FileVersions, target: string): VersionVerdict {
  const from = minorOf(file.clusterVersion) ?? minorOf(file.storageVersion);
  const to = minorOf(target);
  if (to === undefined) return refuse(`"${target}" is no version of etcd, such as 3.6.16`);
  if (!isKnown(to)) return refuse(`etcd ${text(to)} is not one of 3.4 to 3.7`);
  if (from === undefined) {
    return { verdict: 'warn', reason: 'The file does not say which etcd wrote it.', edits: {} };
  }
  if (!isKnown(from)) return refuse(`the file is of etcd ${text(from)}, which is not one of 3.4 to 3.7`);

  const step = to.minor - from.minor;
  const names = `etcd ${text(from)} to ${text(to)}`;
  if (step === 0) return { verdict: 'fine', reason: `The file is of etcd ${text(from)} itself.`, edits: {} };
  if (step === 1)
    return { verdict: 'fine', reason: `${names} is an upgrade of one minor version.`, edits: {} };
  if (Math.abs(step) > 1) {
    const near = { ...from, minor: from.minor + Math.sign(step) };
    return refuse(`${names} skips minor versions: restore into ${text(near)} and go on from there`);
  }
  return {
    verdict: 'warn',
    reason: `${names} is a downgrade, which etcd does not promise.`,
    edits: downgradeEdits(to),
  };
}

const KNOWN_MINORS = [4, 5, 6, 7];

function isKnown({ major, minor }: MinorVersion): boolean {
  return major === 3 && KNOWN_MINORS.includes(minor);
}

/** 3.6 and later read both versions from the file and refuse higher ones; earlier ones leave storageVersion to mislead. */
function downgradeEdits(to: MinorVersion): VersionEdits {
  return { dropStorageVersion: true, clusterVersion: `${text(to)}.0` };
}

function refuse(why: string): VersionVerdict {
  return { verdict: 'refuse', reason: `Not possible: ${why}.`, edits: {} };
}

function text({ major, minor }: MinorVersion): string {
  return `${major}.${minor}`;
}

function minorOf(version: string | undefined): MinorVersion | undefined {
  const match = /^(\d+)\.(\d+)(?:\.|$)/.exec(version ?? '');
  return match === null ? undefined : { major: Number(match[1]), minor: Number(match[2]) };
}
