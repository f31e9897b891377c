import { loadSync, type MethodDefinition, type PackageDefinition } from '@grpc/proto-loader';
import { join } from 'node:path';
import { z } from 'zod';

/** One of etcd's calls: its name, and how its messages look on the wire. */
export interface Rpc<Request, Reply> {
  /** e.g. `Maintenance/Status`, for messages. */
  readonly name: string;
  /** For HTTP/2's `:path`. */
  readonly path: string;
  encode(request: Request): Buffer;
  /** Throws at bytes that aren't this reply. */
  decode(bytes: Buffer): Reply;
}

/** A call as proto/etcd/rpc.proto defines it; what comes back is parsed by `reply`, 64-bit integers as decimal strings. */
export function rpc<Request extends object, Reply>(
  service: string,
  method: string,
  reply: z.ZodType<Reply>,
): Rpc<Request, Reply> {
  return {
    name: `${service}/${method}`,
    path: `/${PACKAGE}.${service}/${method}`,
    encode: (request) => definition(service, method).requestSerialize(request),
    decode: (bytes) => reply.parse(definition(service, method).responseDeserialize(bytes)),
  };
}

/** For a reply that a decoder of our own reads: large ones, and those of streams. */
export function rpcWithDecoder<Request extends object, Reply>(
  service: string,
  method: string,
  decode: (bytes: Buffer) => Reply,
): Rpc<Request, Reply> {
  return { ...rpc<Request, unknown>(service, method, z.unknown()), decode };
}

const PACKAGE = 'etcdserverpb';
const PROTO_FOLDER = join(import.meta.dirname, '..', '..', '..', 'proto', 'etcd');

let loaded: PackageDefinition | undefined;

function definition(service: string, method: string): MethodDefinition<object, object> {
  loaded ??= loadSync('rpc.proto', {
    includeDirs: [PROTO_FOLDER],
    keepCase: true,
    longs: String,
    enums: String,
    defaults: true,
    arrays: true,
  });
  const methods = loaded[`${PACKAGE}.${service}`];
  const found = methods === undefined || 'format' in methods ? undefined : methods[method];
  if (found === undefined) throw new Error(`proto/etcd/rpc.proto has no ${service}/${method}`);
  return found;
}
