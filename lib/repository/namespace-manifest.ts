import { z } from 'zod';
import { FORMAT_VERSION } from './document.ts';
import { storedContent } from './manifest.ts';
import { count, decimal64, hex64, instant, sha256Hex, words } from './wire.ts';

/** A document of 1 MiB holds them all. */
export const MOST_NAMESPACES = 8192;

/** Names of Kubernetes; what else a document says of them is not believed. */
const name = z.string().min(1).max(253);

const part = storedContent.extend({
  kind: z.enum(['etcd', 'api']),
  objects: count,
  /** Of the plain bytes. */
  plainSha256: sha256Hex,
});

/** A resource that was backed up, and which part its objects are in. */
const resource = z.object({
  /** As kubectl names it: `secrets`, `widgets.example.com`. */
  resource: name,
  /** Behind the prefix in etcd: `secrets`, `services/specs`, `example.com/widgets`. */
  directory: name,
  /** The part that counts: what the other holds of it doesn't. */
  part: z.enum(['etcd', 'api']),
  /** Absent: the backup's. Its own where the API server had no longer that of the backup. */
  revision: decimal64.optional(),
});

const omitted = z.object({
  resource: name,
  /** The first of them; absent: all. */
  namespaces: z.array(name).max(20).optional(),
  reason: words,
});

/**
 * The commit point of a backup of namespaces (docs/format.md, "Backups of namespaces"). Signed and written last; a
 * document of another kind than a cluster's manifest, so that neither is ever taken for the other.
 */
export const namespaceManifestSchema = z.object({
  formatVersion: z.literal(FORMAT_VERSION),
  id: z.string(),
  cluster: z.string(),
  timeline: z.string(),
  createdAt: instant,
  completedAt: instant,
  tool: words,
  etcd: z.object({ clusterId: hex64 }),
  /** All objects are as they were at this revision, but for resources that have their own. */
  revision: decimal64,
  /** When that was. */
  readAt: instant,
  namespaces: z.array(name).max(MOST_NAMESPACES),
  resources: z.array(resource).max(4096),
  omitted: z.array(omitted).max(4096),
  /** At most one of each kind. */
  parts: z.array(part).max(2),
  requester: z
    .object({ username: words, uid: words.optional(), groups: z.array(words).max(256).optional() })
    .optional(),
  labels: z.record(z.string().max(256), words).optional(),
  retainUntil: instant.optional(),
});

export const namespaceManifestDocument = {
  payloadType: 'application/vnd.etcdguardian.namespaces+json',
  schema: namespaceManifestSchema,
};

export type NamespaceManifest = Readonly<z.output<typeof namespaceManifestSchema>>;
export type NamespacePart = Readonly<z.output<typeof part>>;
export type NamespaceResource = Readonly<z.output<typeof resource>>;
export type OmittedResource = Readonly<z.output<typeof omitted>>;
