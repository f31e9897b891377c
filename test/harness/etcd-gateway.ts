import type { Etcd } from './etcd.ts';

/** An answer of etcd's JSON gateway: 64-bit numbers are strings, bytes are base64, zero values are absent. */
export interface GatewayAnswer {
  readonly header?: { readonly revision?: string };
  readonly [field: string]: unknown;
}

/**
 * Calls etcd through its JSON gateway, e.g. `callGateway(etcd, 'kv/put', { key: base64('a'), value: base64('b') })`:
 * for tests that make many calls in any version and don't want a process for each. Rejects with etcd's own words.
 */
export async function callGateway(
  etcd: Etcd,
  path: string,
  request: object,
  token?: string,
): Promise<GatewayAnswer> {
  const response = await post(etcd, path, request, token);
  if (!response.ok) throw new Error(`${etcd.name}: ${path}: ${await response.text()}`);
  return (await response.json()) as GatewayAnswer;
}

/** The answers of a stream (`watch`), as they come; leaving the loop ends it. */
export async function* streamGateway(
  etcd: Etcd,
  path: string,
  request: object,
): AsyncGenerator<GatewayAnswer> {
  const response = await post(etcd, path, request);
  if (response.body === null) throw new Error(`${etcd.name}: ${path}: no body`);
  let text = '';
  for await (const piece of response.body.pipeThrough(new TextDecoderStream())) {
    const lines = (text + piece).split('\n');
    text = lines.pop() ?? '';
    for (const line of lines) yield (JSON.parse(line) as { result: GatewayAnswer }).result;
  }
}

export function base64(text: string | Uint8Array): string {
  return Buffer.from(text as string).toString('base64');
}

async function post(etcd: Etcd, path: string, request: object, token?: string): Promise<Response> {
  return fetch(`${etcd.endpoint}/v3/${path}`, {
    method: 'POST',
    body: JSON.stringify(request),
    headers: token === undefined ? {} : { authorization: token },
    signal: AbortSignal.timeout(60_000),
  });
}
