import { createHash } from 'node:crypto';
import { GuardianError } from '../guardian-error.ts';
import { isBackupId } from './backup-id.ts';
import type { BackupPlace } from './repository.ts';

/** Where things stand in a store; docs/format.md, "Layout", shows it as a tree. */
export const MARKER = 'etcdguardian.json';

export const CLUSTERS = 'clusters/';

/** Rejects with `repository.cluster-name` what can't stand in an object's name. */
export function checkClusterName(cluster: string): void {
  if (CLUSTER_NAME.test(cluster)) return;
  throw new GuardianError('repository.cluster-name', `${quoted(cluster)} can't be the name of a cluster`, {
    hint: 'A name begins with a letter or digit, continues with A-Z a-z 0-9 . _ - and has at most 128 characters.',
  });
}

const CLUSTER_NAME = /^[A-Za-z0-9][A-Za-z0-9._-]{0,127}$/;
const ATTACHMENT_NAME = CLUSTER_NAME;

export function timelinesFolder(cluster: string): string {
  return `${CLUSTERS}${cluster}/timelines/`;
}

/** Timelines are counted, so that two writers that begin one at once contend for one name. */
export function timelineId(number: number): string {
  return String(number).padStart(TIMELINE_DIGITS, '0');
}

const TIMELINE_DIGITS = 6;

export function timelineFolder(cluster: string, timeline: string): string {
  return `${timelinesFolder(cluster)}${timeline}/`;
}

export function timelineName(cluster: string, timeline: string): string {
  return `${timelineFolder(cluster, timeline)}timeline.json`;
}

export function highWaterFolder(cluster: string, timeline: string): string {
  return `${timelineFolder(cluster, timeline)}high-water/`;
}

/** What is left to the largest revision comes first in the name, so that the highest mark is listed first. */
export function highWaterName(cluster: string, timeline: string, revision: bigint): string {
  const left = (LARGEST_REVISION - revision).toString().padStart(REVISION_DIGITS, '0');
  return `${highWaterFolder(cluster, timeline)}${left}-${revision}.json`;
}

const LARGEST_REVISION = 2n ** 63n - 1n;
const REVISION_DIGITS = 19;

export function removalsFolder(cluster: string, timeline: string): string {
  return `${timelineFolder(cluster, timeline)}removals/`;
}

/** The marks of one backup are counted from 1; the last one says whether it is removed. */
export function removalName(place: BackupPlace, number: number): string {
  return `${removalsFolder(place.cluster, place.timeline)}${place.id}/${String(number).padStart(MARK_DIGITS, '0')}.json`;
}

const MARK_DIGITS = 4;

export function chainsFolder(cluster: string, timeline: string): string {
  return `${timelineFolder(cluster, timeline)}chains/`;
}

export function chainFolder(place: BackupPlace): string {
  return `${chainsFolder(place.cluster, place.timeline)}${place.id}/`;
}

export function manifestName(place: BackupPlace): string {
  return `${chainFolder(place)}manifest.json`;
}

export function baseName(place: BackupPlace, sealed: boolean): string {
  return `${chainFolder(place)}base${contentSuffix(sealed)}`;
}

/** Rejects with `repository.attachment-name` what can't stand in an object's name. */
export function attachmentName(place: BackupPlace, name: string): string {
  if (!ATTACHMENT_NAME.test(name)) {
    throw new GuardianError(
      'repository.attachment-name',
      `${quoted(name)} can't be the name of an attachment`,
      {
        hint: 'A name begins with a letter or digit, continues with A-Z a-z 0-9 . _ - and has at most 128 characters.',
      },
    );
  }
  return `${chainFolder(place)}attachments/${name}${contentSuffix(true)}`;
}

/** What `attachmentName` made the object's name of. */
export function ownAttachmentName(name: string): string {
  return name.slice(name.lastIndexOf('/') + 1).replace(/\.zst(?:\.sealed)?$/, '');
}

export function segmentsFolder(chain: BackupPlace): string {
  return `${chainFolder(chain)}${SEGMENTS}`;
}

/** One name for whatever follows a revision, sealed or not, so that all writers of the next segment contend for it. */
export function segmentName(chain: BackupPlace, follows: bigint): string {
  return `${segmentsFolder(chain)}${String(follows).padStart(REVISION_DIGITS, '0')}.segment`;
}

/** Backups of namespaces stand beside chains, where nobody takes one for a backup of the cluster. */
export function namespacesFolder(cluster: string, timeline: string): string {
  return `${timelineFolder(cluster, timeline)}namespaces/`;
}

export function namespaceManifestName(place: BackupPlace): string {
  return `${namespacesFolder(place.cluster, place.timeline)}${place.id}/manifest.json`;
}

/** `etcd`: what etcd gave; `api`: what the API server gave, because it is encrypted in etcd. */
export function namespacePartName(place: BackupPlace, part: 'etcd' | 'api', sealed: boolean): string {
  return `${namespacesFolder(place.cluster, place.timeline)}${place.id}/${part}${contentSuffix(sealed)}`;
}

export function trimsFolder(cluster: string, timeline: string): string {
  return `${timelineFolder(cluster, timeline)}trims/`;
}

/** What is removed of a chain's segments; counted from 1, the last one tells all of it. */
export function trimName(chain: BackupPlace, number: number): string {
  return `${trimsFolder(chain.cluster, chain.timeline)}${chain.id}/${String(number).padStart(TRIM_DIGITS, '0')}.json`;
}

/** A chain lives for years, and retention may trim it every few minutes. */
const TRIM_DIGITS = 6;

export function restoresFolder(cluster: string): string {
  return `${CLUSTERS}${cluster}/restores/`;
}

/** Restores are counted like timelines, so that nodes that begin one at once contend for one name. */
export function restoreName(cluster: string, number: number): string {
  return `${restoreFolder(cluster, number)}restore.json`;
}

/** A member's name may be any text of any length; its SHA-256 is a name that every store takes. */
export function restoreClaimName(cluster: string, number: number, member: string): string {
  const hash = createHash('sha256').update(member).digest('hex');
  return `${restoreFolder(cluster, number)}members/${hash}.json`;
}

function restoreFolder(cluster: string, number: number): string {
  return `${restoresFolder(cluster)}${String(number).padStart(RESTORE_DIGITS, '0')}/`;
}

const RESTORE_DIGITS = 6;

function contentSuffix(sealed: boolean): string {
  return sealed ? '.zst.sealed' : '.zst';
}

/** What an object is, by its name. */
export type NamedObject =
  | { readonly kind: 'marker' | 'probe' }
  | { readonly kind: 'timeline' | 'high-water'; readonly cluster: string; readonly timeline: string }
  | { readonly kind: 'restore' | 'restore-claim'; readonly cluster: string; readonly number: number }
  | { readonly kind: 'removal' | 'trim'; readonly place: BackupPlace; readonly number: number }
  | { readonly kind: 'segment'; readonly place: BackupPlace; readonly follows: bigint }
  | { readonly kind: 'manifest' | 'content'; readonly place: BackupPlace }
  | { readonly kind: 'namespace-manifest' | 'namespace-part'; readonly place: BackupPlace };

/** Undefined for names that this format doesn't know. */
export function parseName(name: string): NamedObject | undefined {
  if (name === MARKER) return { kind: 'marker' };
  if (name.startsWith(PROBES)) return { kind: 'probe' };
  return parseRestoreName(name) ?? parseNameInTimeline(name);
}

function parseRestoreName(name: string): NamedObject | undefined {
  const [, cluster, number, rest] = OF_RESTORE.exec(name) ?? [];
  if (cluster === undefined || number === undefined || rest === undefined) return undefined;
  const kind = rest === 'restore.json' ? 'restore' : 'restore-claim';
  return { kind, cluster, number: Number(number) };
}

function parseNameInTimeline(name: string): NamedObject | undefined {
  const [, cluster, timeline, rest] = IN_TIMELINE.exec(name) ?? [];
  if (cluster === undefined || timeline === undefined || rest === undefined) return undefined;
  if (rest === 'timeline.json') return { kind: 'timeline', cluster, timeline };
  if (HIGH_WATER.test(rest)) return { kind: 'high-water', cluster, timeline };
  const [, folder, id, within] = OF_BACKUP.exec(rest) ?? [];
  if (folder === undefined || id === undefined || within === undefined || !isBackupId(id)) return undefined;
  const place = { cluster, timeline, id };
  if (folder === 'namespaces') {
    if (within === 'manifest.json') return { kind: 'namespace-manifest', place };
    return NAMESPACE_PART.test(within) ? { kind: 'namespace-part', place } : undefined;
  }
  if (folder !== 'chains') {
    const [kind, form] = folder === 'trims' ? (['trim', TRIM] as const) : (['removal', MARK] as const);
    const [, number] = form.exec(within) ?? [];
    return number === undefined ? undefined : { kind, place, number: Number(number) };
  }
  if (within === 'manifest.json') return { kind: 'manifest', place };
  if (CONTENT.test(within)) return { kind: 'content', place };
  const [, follows] = SEGMENT.exec(within) ?? [];
  return follows === undefined || BigInt(follows) > LARGEST_REVISION
    ? undefined
    : { kind: 'segment', place, follows: BigInt(follows) };
}

/** Where it is tried what a store can do. */
const PROBES = '.probe/';

const OF_RESTORE =
  /^clusters\/([A-Za-z0-9][A-Za-z0-9._-]{0,127})\/restores\/([0-9]{6})\/(restore\.json|members\/[0-9a-f]{64}\.json)$/;
const IN_TIMELINE = /^clusters\/([A-Za-z0-9][A-Za-z0-9._-]{0,127})\/timelines\/([0-9]{6})\/(.+)$/;
const HIGH_WATER = /^high-water\/[0-9]{19}-[0-9]+\.json$/;
const OF_BACKUP = /^(chains|namespaces|removals|trims)\/([^/]+)\/(.+)$/;
const MARK = /^([0-9]{4})\.json$/;
const TRIM = /^([0-9]{6})\.json$/;
const CONTENT = /^(?:base|attachments\/[A-Za-z0-9][A-Za-z0-9._-]{0,127})\.zst(?:\.sealed)?$/;

const NAMESPACE_PART = /^(?:etcd|api)\.zst(?:\.sealed)?$/;

const SEGMENTS = 'segments/';
const SEGMENT = /^segments\/([0-9]{19})\.segment$/;

/** Sorts after every name in `folder` (which ends with `/`) and before everything else that comes later. */
export function afterFolder(folder: string): string {
  return `${folder.slice(0, -1)}0`;
}

function quoted(text: string): string {
  return JSON.stringify(text.length > 120 ? `${text.slice(0, 120)}…` : text);
}
