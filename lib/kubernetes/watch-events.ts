import type { Readable } from 'node:stream';
import { GuardianError, reasonOf } from '../guardian-error.ts';
import type { KubeObject, KubeWatchEvent } from './kube-client.ts';
import { statusError } from './status-error.ts';

/** An object with everything around it; etcd itself takes 1.5 MiB of one unless told otherwise. */
const LONGEST_LINE = 32 * 2 ** 20;
const NEWLINE = 0x0a;

/**
 * The events of a watch: one JSON document per line. Ends with the stream. Rejects with the error that the server sends
 * as an event, with `kubernetes.unreachable` when the stream breaks, or is silent for `silentMs`.
 */
export async function* watchEvents<T extends KubeObject>(
  stream: Readable,
  what: string,
  silentMs: number,
): AsyncGenerator<KubeWatchEvent<T>, void> {
  const watchdog = setTimeout(() => {
    stream.destroy(new Error(`nothing came for ${silentMs} ms`));
  }, silentMs);
  try {
    for await (const line of linesOf(stream)) {
      watchdog.refresh();
      yield readEvent<T>(line, what);
    }
  } catch (error) {
    if (error instanceof GuardianError) throw error;
    throw new GuardianError('kubernetes.unreachable', `${what}: the stream broke: ${reasonOf(error)}`, {
      retryable: true,
      cause: error,
    });
  } finally {
    clearTimeout(watchdog);
    stream.destroy();
  }
}

/** Without what follows the last line end: the stream was cut there. */
async function* linesOf(stream: Readable): AsyncGenerator<string, void> {
  let parts: Buffer[] = [];
  let size = 0;
  for await (const chunk of stream as AsyncIterable<Buffer>) {
    let from = 0;
    for (let at = chunk.indexOf(NEWLINE); at >= 0; at = chunk.indexOf(NEWLINE, from)) {
      const line = Buffer.concat([...parts, chunk.subarray(from, at)]).toString('utf8');
      parts = [];
      size = 0;
      from = at + 1;
      if (line !== '') yield line;
    }
    size += chunk.length - from;
    if (size > LONGEST_LINE) throw new Error(`an event is larger than ${LONGEST_LINE} bytes`);
    if (from < chunk.length) parts.push(chunk.subarray(from));
  }
}

function readEvent<T extends KubeObject>(line: string, what: string): KubeWatchEvent<T> {
  const event = JSON.parse(line) as { readonly type?: unknown; readonly object?: unknown };
  const object = event.object;
  if (event.type === 'ERROR') {
    const code = typeof object === 'object' && object !== null && 'code' in object ? object.code : undefined;
    throw statusError(what, typeof code === 'number' ? code : 500, object);
  }
  if (!isKubeObject(object)) throw new Error('an event without an object');
  switch (event.type) {
    case 'ADDED':
    case 'MODIFIED':
    case 'DELETED':
      return { type: event.type, object: object as T };
    case 'BOOKMARK':
      return { type: 'BOOKMARK', resourceVersion: object.metadata.resourceVersion ?? '' };
    default:
      throw new Error(`an event of type ${JSON.stringify(event.type)}`);
  }
}

function isKubeObject(value: unknown): value is KubeObject {
  if (typeof value !== 'object' || value === null || !('metadata' in value)) return false;
  return typeof value.metadata === 'object' && value.metadata !== null;
}
