/** Where a node's etcd keeps its data. */
export type NodeLayout =
  /** A folder. */
  | 'plain'
  /** A file system of its own, so that nothing can be renamed into it. */
  | 'mount'
  /** A folder, and the log in a folder on another file system: etcd renames that folder when it makes it. */
  | 'separate-wal'
  /** Neither is on the node's own file system. */
  | 'two-mounts';

export interface DataDirs {
  readonly dataDir: string;
  /** Empty: within the data dir. */
  readonly walDir: string;
  /** What mounts them, on the node. */
  readonly mounts: readonly string[];
}

/** `bytes`: how much fits into each file system. */
export function dataDirs(folder: string, layout: NodeLayout, bytes: number): DataDirs {
  const [dataDir, wal] = [`${folder}/etcd`, `${folder}/wal`];
  const walDir = `${wal}/log`;
  const mount = (path: string): string =>
    `mkdir -p ${path} && mount -t tmpfs -o mode=700,size=${bytes} none ${path}`;
  switch (layout) {
    case 'plain':
      return { dataDir, walDir: '', mounts: [] };
    case 'mount':
      return { dataDir, walDir: '', mounts: [mount(dataDir)] };
    case 'separate-wal':
      return { dataDir, walDir, mounts: [mount(wal)] };
    case 'two-mounts':
      return { dataDir, walDir, mounts: [mount(dataDir), mount(wal)] };
  }
}
