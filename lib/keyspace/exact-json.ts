/** Numbers of JSON that a double can't hold stay as they were written, through `exactJson` and `JSON.stringify`. */
interface ExactJson {
  parse(
    text: string,
    reviver: (this: unknown, key: string, value: unknown, context: Source) => unknown,
  ): unknown;
  rawJSON(text: string): unknown;
}

interface Source {
  readonly source?: string;
}

/** Deeper values are of no use to anybody, and cost whoever reads them. */
const DEEPEST = 500;

/**
 * Parses bytes of JSON without losing digits. Throws an `Error` for what is none, is no UTF-8, or nests deeper than 500.
 */
export function exactJson(bytes: Buffer): unknown {
  refuseDepth(bytes);
  const text = new TextDecoder('utf-8', { fatal: true }).decode(bytes);
  // Proposal "JSON.parse source text access", which Node has since version 22.
  const json = JSON as unknown as ExactJson;
  return json.parse(text, (_key, value, { source }) => {
    if (typeof value !== 'number' || source === undefined) return value;
    return String(value) === source ? value : json.rawJSON(source);
  });
}

function refuseDepth(bytes: Buffer): void {
  let depth = 0;
  let inText = false;
  for (let at = 0; at < bytes.length; at++) {
    const byte = bytes[at];
    if (inText) {
      if (byte === BACKSLASH) at++;
      else if (byte === QUOTE) inText = false;
    } else if (byte === QUOTE) inText = true;
    else if (byte === 0x7b || byte === 0x5b) {
      depth++;
      if (depth > DEEPEST) throw new Error(`JSON that nests deeper than ${DEEPEST}`);
    } else if (byte === 0x7d || byte === 0x5d) depth--;
  }
}

const QUOTE = 0x22;
const BACKSLASH = 0x5c;
