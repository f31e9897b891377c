import { VarintReader } from './varint.ts';
import type { SnapshotAlarm, SnapshotMember } from './snapshot-verdict.ts';

/**
 * An entry of bucket `members`: the id in hex, and JSON that repeats it as a bare number beyond what JSON.parse can
 * hold, so that it is compared as text. Undefined when it is not one.
 */
export function readMember(key: Buffer, value: Buffer): SnapshotMember | undefined {
  const id = key.toString('latin1');
  if (!isMemberId(id)) return undefined;
  const text = value.toString('utf8');
  if (/"id":\s*(\d+)/.exec(text)?.[1] !== BigInt(`0x${id}`).toString()) return undefined;
  const fields = parseObject(text);
  if (fields === undefined) return undefined;
  return {
    id,
    name: typeof fields.name === 'string' ? fields.name : '',
    peerURLs: stringsOf(fields.peerURLs),
    clientURLs: stringsOf(fields.clientURLs),
    isLearner: fields.isLearner === true,
  };
}

/** Lower-case hex of 64 bits without padding, as etcd names members. */
export function isMemberId(text: string): boolean {
  return /^[0-9a-f]{1,16}$/.test(text);
}

const ALARM_NAMES = new Map([
  [1, 'NOSPACE'],
  [2, 'CORRUPT'],
]);

/** A key of bucket `alarm`: etcdserverpb.AlarmMember. Undefined when it is not one. */
export function readAlarm(key: Buffer): SnapshotAlarm | undefined {
  const reader = new VarintReader();
  let memberId = 0n;
  let alarm = 0;
  while (reader.at < key.length) {
    const tag = key[reader.at++];
    if ((tag !== 0x08 && tag !== 0x10) || !reader.next(key, key.length)) return undefined;
    if (tag === 0x08) memberId = reader.uint64();
    else alarm = reader.low;
  }
  return alarm === 0
    ? undefined
    : { memberId: memberId.toString(16), alarm: ALARM_NAMES.get(alarm) ?? String(alarm) };
}

/** The fields of a JSON object; undefined for any other text. */
export function parseObject(text: string): Record<string, unknown> | undefined {
  try {
    const parsed: unknown = JSON.parse(text);
    return isObject(parsed) ? parsed : undefined;
  } catch {
    return undefined;
  }
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function stringsOf(value: unknown): string[] {
  return Array.isArray(value) ? value.filter((item) => typeof item === 'string') : [];
}
