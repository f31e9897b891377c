/**
 * Files of one node, as an attachment of a backup holds them: what new hardware needs beside etcd's data (certificates,
 * keys of service accounts, EncryptionConfiguration, static manifests). docs/format.md, "Files of a node", has the
 * stored form.
 */
export interface NodeFiles {
  readonly node: string;
  readonly collectedAt: Date;
  /** Program and version that collected them. */
  readonly tool: string;
  /** The files and folders that were taken along: absolute paths, none below another. */
  readonly roots: readonly string[];
  /** The folder of static pods; what is in it is laid out last, because the kubelet starts it at once. */
  readonly manifests: string;
  /** Folders come before what they hold. */
  readonly files: readonly NodeFile[];
  /** What was asked for and isn't here. */
  readonly leftOut: readonly LeftOut[];
}

export type NodeFile =
  | (NodeFileFacts & { readonly kind: 'file'; readonly bytes: Uint8Array })
  | (NodeFileFacts & { readonly kind: 'folder' })
  /** Leads to another of these files; `target` is relative to the link's folder. */
  | (NodeFileFacts & { readonly kind: 'link'; readonly target: string });

export interface NodeFileFacts {
  /** Absolute, without `.`, `..` and empty parts. */
  readonly path: string;
  /** Permission bits only: no set-id, no sticky bit. */
  readonly mode: number;
  readonly uid: number;
  readonly gid: number;
  /** Whole seconds. */
  readonly modifiedAt: Date;
}

export interface LeftOut {
  readonly path: string;
  readonly reason: string;
}

/** What a backup takes along of a node at most; a reader refuses more. */
export const NODE_FILES_LIMITS = {
  /** Files, folders and links. */
  entries: 4096,
  fileBytes: 4 << 20,
  /** Of all files together. */
  totalBytes: 16 << 20,
  /** Of the archive: contents, headers and what was left out. */
  archiveBytes: 24 << 20,
  pathBytes: 1024,
  leftOut: 1000,
} as const;

/** True for an absolute path that names one thing in one way, and that a file on a node can have. */
export function isPlainPath(path: string): boolean {
  return (
    /^(?:\/[^/\0]+)+$/.test(path) &&
    path.isWellFormed() &&
    Buffer.byteLength(path) <= NODE_FILES_LIMITS.pathBytes &&
    path.split('/').every((part) => part !== '.' && part !== '..' && Buffer.byteLength(part) <= 255)
  );
}

/** True where `path` is `folder` or lies in it. */
export function isWithin(path: string, folder: string): boolean {
  return path === folder || path.startsWith(`${folder}/`);
}
