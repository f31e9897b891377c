import assert from 'node:assert/strict';
import { join } from 'node:path';
import { type MethodDefinition, loadSync } from '@grpc/proto-loader';

/** What protobufjs makes of a reply, from the proto file that the client is built on. */
export function encodeReply(service: string, method: string, reply: object): Buffer {
  const methods = PROTO[`etcdserverpb.${service}`] as Record<string, MethodDefinition<object, object>>;
  const definition = methods[method];
  assert.ok(definition !== undefined);
  return definition.responseSerialize(reply);
}

const PROTO = loadSync(join(import.meta.dirname, '../../../proto/etcd/rpc.proto'), { keepCase: true });

/** What decoding gives; undefined when it throws an error, as it may at hostile bytes; anything else escapes. */
export function decodedIfSound<T>(decode: () => T): T | undefined {
  try {
    return decode();
  } catch (error) {
    assert.ok(
      error instanceof Error && !(error instanceof RangeError || error instanceof TypeError),
      String(error),
    );
    return undefined;
  }
}
