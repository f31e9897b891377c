import type { MemberIdentity } from './member-identity.ts';

/** A member as it stands in bucket `members` and in the WAL. Ids are beyond what JSON.stringify can write exactly. */
export function memberJson({ id, name, peerUrls }: MemberIdentity): string {
  return `{"id":${id},"peerURLs":${goJson(peerUrls)},"name":${goJson(name)}}`;
}

/** A member's part in the v2 store of a .snap file. */
export function raftAttributesJson({ peerUrls }: MemberIdentity): string {
  return `{"peerURLs":${goJson(peerUrls)}}`;
}

/** JSON as Go's encoder writes it, which escapes what could end an HTML script. */
export function goJson(value: unknown): string {
  return JSON.stringify(value).replace(
    /[<>&\u2028\u2029]/g,
    (character) => `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`,
  );
}
