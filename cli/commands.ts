import type { Command } from 'commander';
import type { Session } from './session.ts';

/** A command, or a word with commands below it. */
export type Source = Leaf | Group;

export interface Leaf {
  readonly name: string;
  readonly load: (session: Session) => Promise<Command>;
  /** Commands below one that does something by itself, too. */
  readonly children?: readonly Leaf[];
}

interface Group {
  readonly name: string;
  readonly description: string;
  readonly children: readonly Source[];
}

/** What there is, in the order of the help; each is loaded when it is wanted. */
export const COMMANDS: readonly Source[] = [
  {
    name: 'backup',
    description: 'backups in a store',
    children: [
      {
        name: 'create',
        load: async (session) => (await import('./backup-create.ts')).backupCreateCommand(session),
      },
      {
        name: 'list',
        load: async (session) => (await import('./backup-list.ts')).backupListCommand(session),
      },
      {
        name: 'show',
        load: async (session) => (await import('./backup-show.ts')).backupShowCommand(session),
      },
      {
        name: 'verify',
        load: async (session) => (await import('./backup-verify.ts')).backupVerifyCommand(session),
      },
      {
        name: 'delete',
        load: async (session) => (await import('./backup-delete.ts')).backupDeleteCommand(session),
      },
      {
        name: 'undelete',
        load: async (session) => (await import('./backup-upkeep.ts')).backupUndeleteCommand(session),
      },
      {
        name: 'prune',
        load: async (session) => (await import('./backup-prune.ts')).backupPruneCommand(session),
      },
      {
        name: 'sweep',
        load: async (session) => (await import('./backup-upkeep.ts')).backupSweepCommand(session),
      },
    ],
  },
  {
    name: 'capture',
    description: 'every change of a cluster, stored as it happens',
    children: [
      {
        name: 'run',
        load: async (session) => (await import('./capture-run.ts')).captureRunCommand(session),
      },
      {
        name: 'status',
        load: async (session) => (await import('./capture-status.ts')).captureStatusCommand(session),
      },
    ],
  },
  {
    name: 'restore',
    load: async (session) => (await import('./restore.ts')).restoreCommand(session),
    children: [
      {
        name: 'cluster',
        load: async (session) => (await import('./restore-cluster.ts')).restoreClusterCommand(session),
      },
      {
        name: 'node',
        load: async (session) => (await import('./restore-node.ts')).restoreNodeCommand(session),
      },
      {
        name: 'status',
        load: async (session) => (await import('./restore-status.ts')).restoreStatusCommand(session),
      },
      {
        name: 'settle',
        load: async (session) => (await import('./restore-settle.ts')).restoreSettleCommand(session),
      },
      {
        name: 'clean-up',
        load: async (session) => (await import('./restore-settle.ts')).restoreCleanUpCommand(session),
      },
    ],
  },
  { name: 'rescue', load: async (session) => (await import('./rescue.ts')).rescueCommand(session) },
  {
    name: 'drill',
    description: 'proof that a backup restores, by restoring it',
    children: [
      {
        name: 'run',
        load: async (session) => (await import('./drill.ts')).drillRunCommand(session),
      },
      {
        name: 'carrier',
        load: async (session) => (await import('./drill-carrier.ts')).drillCarrierCommand(session),
      },
    ],
  },
  {
    name: 'points',
    description: 'what can be restored: every captured revision, not only the backups',
    children: [
      {
        name: 'list',
        load: async (session) => (await import('./points-list.ts')).pointsListCommand(session),
      },
      {
        name: 'verify',
        load: async (session) => (await import('./points-verify.ts')).pointsVerifyCommand(session),
      },
      {
        name: 'undelete',
        load: async (session) => (await import('./points-undelete.ts')).pointsUndeleteCommand(session),
      },
      {
        name: 'export',
        load: async (session) => (await import('./points-export.ts')).pointsExportCommand(session),
      },
    ],
  },
  {
    name: 'attachments',
    description: "a node's own files, which backups take along",
    children: [
      {
        name: 'show',
        load: async (session) => (await import('./attachments.ts')).attachmentsShowCommand(session),
      },
      {
        name: 'extract',
        load: async (session) => (await import('./attachments.ts')).attachmentsExtractCommand(session),
      },
    ],
  },
  {
    name: 'history',
    description: 'what became of single keys',
    children: [
      {
        name: 'get',
        load: async (session) => (await import('./history-get.ts')).historyGetCommand(session),
      },
    ],
  },
  {
    name: 'restores',
    description: 'restores that were made from a store',
    children: [
      {
        name: 'list',
        load: async (session) => (await import('./restores-list.ts')).restoresListCommand(session),
      },
    ],
  },
  {
    name: 'snapshot',
    description: 'any snapshot file of etcd, wherever it came from',
    children: [
      {
        name: 'verify',
        load: async (session) => (await import('./snapshot-verify.ts')).snapshotVerifyCommand(session),
      },
      {
        name: 'inspect',
        load: async (session) => (await import('./snapshot-inspect.ts')).snapshotInspectCommand(session),
      },
      {
        name: 'diff',
        load: async (session) => (await import('./snapshot-diff.ts')).snapshotDiffCommand(session),
      },
    ],
  },
  { name: 'keys', load: async (session) => (await import('./keys.ts')).keysCommand(session) },
  {
    name: 'kube',
    description: 'a cluster that this is installed in; as a plugin: kubectl etcdguardian …',
    children: [
      {
        name: 'backup',
        description: 'EtcdBackups',
        children: [
          {
            name: 'create',
            load: async (session) =>
              (await import('./kube/backup-create.ts')).kubeBackupCreateCommand(session),
          },
          {
            name: 'wait',
            load: async (session) => (await import('./kube/backup-wait.ts')).kubeBackupWaitCommand(session),
          },
          {
            name: 'list',
            load: async (session) => (await import('./kube/backup-list.ts')).kubeBackupListCommand(session),
          },
          {
            name: 'show',
            load: async (session) => (await import('./kube/backup-show.ts')).kubeBackupShowCommand(session),
          },
        ],
      },
      {
        name: 'restore',
        description: 'EtcdRestores',
        children: [
          {
            name: 'create',
            load: async (session) =>
              (await import('./kube/restore-create.ts')).kubeRestoreCreateCommand(session),
          },
          {
            name: 'wait',
            load: async (session) => (await import('./kube/restore-wait.ts')).kubeRestoreWaitCommand(session),
          },
          {
            name: 'list',
            load: async (session) => (await import('./kube/restore-list.ts')).kubeRestoreListCommand(session),
          },
          {
            name: 'show',
            load: async (session) => (await import('./kube/restore-show.ts')).kubeRestoreShowCommand(session),
          },
        ],
      },
      {
        name: 'points',
        load: async (session) => (await import('./kube/points.ts')).kubePointsCommand(session),
      },
      {
        name: 'status',
        load: async (session) => (await import('./kube/status.ts')).kubeStatusCommand(session),
      },
      {
        name: 'doctor',
        load: async (session) => (await import('./kube/doctor.ts')).kubeDoctorCommand(session),
      },
    ],
  },
  {
    name: 'pki',
    description: 'identities for the agents of a cluster',
    children: [
      { name: 'issue', load: async (session) => (await import('./pki-issue.ts')).pkiIssueCommand(session) },
      { name: 'show', load: async (session) => (await import('./pki-show.ts')).pkiShowCommand(session) },
    ],
  },
  { name: 'agent', load: async (session) => (await import('./agent.ts')).agentCommand(session) },
  {
    name: 'controlplane',
    load: async (session) => (await import('./controlplane.ts')).controlPlaneCommand(session),
  },
  { name: 'webhook', load: async (session) => (await import('./webhook.ts')).webhookCommand(session) },
];

/** How to call what has this name below another word, e.g. `kube doctor`. */
export function placesOf(name: string, sources = COMMANDS): string[] {
  return sources.flatMap((source) => {
    const below = source.children ?? [];
    return [
      ...below.filter((child) => child.name === name).map((child) => `${source.name} ${child.name}`),
      ...placesOf(name, below).map((place) => `${source.name} ${place}`),
    ];
  });
}
