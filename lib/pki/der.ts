import forge from 'node-forge';
import { GuardianError, reasonOf } from '../guardian-error.ts';

/** A node of ASN.1. node-forge is our encoder and parser of it; keys and signatures are node:crypto's alone. */
export type Der = forge.asn1.Asn1;

const { asn1 } = forge;
const { Class, Type } = asn1;

/** In node-forge's types a context's tags would have to be universal ones. */
const create: (tagClass: number, type: number, constructed: boolean, value: string | Der[]) => Der =
  asn1.create;

export function sequence(...parts: readonly Der[]): Der {
  return create(Class.UNIVERSAL, Type.SEQUENCE, true, [...parts]);
}

export function set(...parts: readonly Der[]): Der {
  return create(Class.UNIVERSAL, Type.SET, true, [...parts]);
}

/** `[tag] EXPLICIT`, or IMPLICIT of a constructed type. */
export function tagged(tag: number, ...parts: readonly Der[]): Der {
  return create(Class.CONTEXT_SPECIFIC, tag, true, [...parts]);
}

/** `[tag] IMPLICIT` of a primitive type. */
export function taggedBytes(tag: number, bytes: Uint8Array): Der {
  return create(Class.CONTEXT_SPECIFIC, tag, false, latin1(bytes));
}

export function oid(dotted: string): Der {
  return create(Class.UNIVERSAL, Type.OID, false, asn1.oidToDer(dotted).getBytes());
}

export function integer(value: number): Der {
  return create(Class.UNIVERSAL, Type.INTEGER, false, asn1.integerToDer(value).getBytes());
}

/** From its big-endian bytes, whose first must say that it is positive. */
export function bigInteger(bytes: Uint8Array): Der {
  return create(Class.UNIVERSAL, Type.INTEGER, false, latin1(bytes));
}

export function boolean(value: boolean): Der {
  return create(Class.UNIVERSAL, Type.BOOLEAN, false, value ? '\xff' : '\x00');
}

export function utf8(text: string): Der {
  return create(Class.UNIVERSAL, Type.UTF8, false, latin1(Buffer.from(text)));
}

export function octets(bytes: Uint8Array): Der {
  return create(Class.UNIVERSAL, Type.OCTETSTRING, false, latin1(bytes));
}

/** `unusedBits` of the last byte don't count. */
export function bits(bytes: Uint8Array, unusedBits = 0): Der {
  return create(Class.UNIVERSAL, Type.BITSTRING, false, String.fromCharCode(unusedBits) + latin1(bytes));
}

/** RFC 5280, 4.1.2.5: UTCTime through the year 2049, GeneralizedTime from 2050. Whole seconds. */
export function time(date: Date): Der {
  return date.getUTCFullYear() < 2050
    ? create(Class.UNIVERSAL, Type.UTCTIME, false, asn1.dateToUtcTime(date))
    : create(Class.UNIVERSAL, Type.GENERALIZEDTIME, false, asn1.dateToGeneralizedTime(date));
}

/** What node:crypto exported as DER, as a part of something larger. */
export function embedded(der: Uint8Array): Der {
  return parse(der);
}

export function encode(der: Der): Buffer {
  return Buffer.from(asn1.toDer(der).getBytes(), 'latin1');
}

const PARSE_OPTIONS = { strict: true, parseAllBytes: true, decodeBitStrings: false, maxDepth: 16 };

/** Parses bytes of any origin. Rejects with `pki.malformed` what isn't one DER value, or is nested deeper than 16. */
export function decode(bytes: Uint8Array): Der {
  try {
    return parse(bytes);
  } catch (error) {
    throw new GuardianError('pki.malformed', `not DER: ${reasonOf(error)}`, { cause: error });
  }
}

/** The parts of a SEQUENCE; undefined for anything else. */
export function partsOf(der: Der | undefined): readonly Der[] | undefined {
  if (der?.tagClass !== Class.UNIVERSAL || der.type !== Type.SEQUENCE) return undefined;
  return typeof der.value === 'object' ? der.value : undefined;
}

/** The content of a BIT STRING of whole bytes; undefined for anything else. */
export function bytesOfBits(der: Der | undefined): Buffer | undefined {
  if (der?.tagClass !== Class.UNIVERSAL || der.type !== Type.BITSTRING) return undefined;
  if (typeof der.value !== 'string' || !der.value.startsWith('\x00')) return undefined;
  return Buffer.from(der.value.slice(1), 'latin1');
}

/** The dotted form of an OBJECT IDENTIFIER; undefined for anything else. */
export function oidOf(der: Der | undefined): string | undefined {
  if (der?.tagClass !== Class.UNIVERSAL || der.type !== Type.OID || typeof der.value !== 'string')
    return undefined;
  return asn1.derToOid(der.value);
}

/** node-forge's types know `strict` only; it takes these options since 0.10. */
const fromDer = asn1.fromDer as unknown as (bytes: string, options: typeof PARSE_OPTIONS) => Der;

function parse(bytes: Uint8Array): Der {
  return fromDer(latin1(bytes), PARSE_OPTIONS);
}

/** node-forge keeps bytes as text, a character each. */
function latin1(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString('latin1');
}
