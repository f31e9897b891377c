import { GuardianError } from '../lib/guardian-error.ts';

const UNITS: Readonly<Record<string, number>> = {
  ms: 1,
  s: 1000,
  m: 60_000,
  h: 3_600_000,
  d: 86_400_000,
};

/** Milliseconds, from `least` on, of a duration as Go and Kubernetes write it, days allowed: `90s`, `1h30m`, `30d`. */
export function parseDuration(text: string, option: string, least = 0): number {
  const parts = [...text.matchAll(/(\d+(?:\.\d+)?)(ms|s|m|h|d)/gy)];
  const matched = parts.reduce((length, part) => length + part[0].length, 0);
  if (parts.length === 0 || matched !== text.length) {
    throw new GuardianError('usage.duration', `${option}: "${text}" is not a duration`, {
      hint: 'write it like 90s, 15m, 1h30m or 30d',
    });
  }
  const ms = parts.reduce(
    (sum, [, value, unit]) => sum + Number(value) * (UNITS[unit ?? ''] ?? Number.NaN),
    0,
  );
  if (ms >= least) return ms;
  throw new GuardianError('usage.duration', `${option}: "${text}" is less than ${least / 1000} s`);
}

const BYTE_UNITS: Readonly<Record<string, number>> = {
  '': 1,
  K: 1000,
  M: 1000 ** 2,
  G: 1000 ** 3,
  T: 1000 ** 4,
  Ki: 1024,
  Mi: 1024 ** 2,
  Gi: 1024 ** 3,
  Ti: 1024 ** 4,
};

/** Bytes of a quantity as Kubernetes writes it: `512Mi`, `10G`, `1048576`. A trailing `B` is allowed. */
export function parseByteCount(text: string, option: string): number {
  const match = /^(\d+(?:\.\d+)?)\s*([KMGT]i?)?B?$/.exec(text);
  const unit = BYTE_UNITS[match?.[2] ?? ''];
  if (match === null || unit === undefined) {
    throw new GuardianError('usage.bytes', `${option}: "${text}" is not a number of bytes`, {
      hint: 'write it like 512Mi, 4Gi or 1048576',
    });
  }
  return Math.floor(Number(match[1]) * unit);
}

/** A whole number of something, from `least` on. */
export function parseCount(text: string, option: string, least = 1): number {
  const value = Number(text);
  if (/^\d{1,15}$/.test(text) && value >= least) return value;
  throw new GuardianError('usage.number', `${option}: "${text}" is not a whole number from ${least}`);
}

/** A revision of etcd, from 1. */
export function parseRevision(text: string, option: string): bigint {
  if (/^[1-9]\d{0,17}$/.test(text)) return BigInt(text);
  throw new GuardianError('usage.revision', `${option}: "${text}" is not a revision`, {
    hint: 'write it as a whole number from 1, without separators',
  });
}

/** For options that may be repeated. */
export function collect(value: string, before: readonly string[]): readonly string[] {
  return [...before, value];
}
