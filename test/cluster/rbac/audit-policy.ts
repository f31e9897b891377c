/** Notes who of these service accounts asked for what, by impersonation too; nothing of what was asked for. */
export function auditPolicy(
  accounts: readonly { readonly namespace: string; readonly name: string }[],
): object {
  const users = accounts.map(({ namespace, name }) => `system:serviceaccount:${namespace}:${name}`);
  return {
    ...{ apiVersion: 'audit.k8s.io/v1', kind: 'Policy' },
    // Watches are noted when they begin.
    omitStages: ['RequestReceived'],
    omitManagedFields: true,
    rules: [{ level: 'Metadata', users }, { level: 'None' }],
  };
}
