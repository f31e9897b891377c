import { CONTENT, isControlPlane, type Policy, verdict } from '../policy.ts';

/** What happened is for the control plane to say: it writes every status, and nobody else any. */
export const status: Policy = {
  name: 'status',
  concerns: ({ subresource }) => subresource !== '',
  judge(admission, tools) {
    if (isControlPlane(admission, tools)) return CONTENT;
    return verdict([
      {
        kind: 'forbidden',
        message: `user ${JSON.stringify(admission.user.username)} may not write the ${admission.subresource} of ${admission.kind}s`,
        hint: 'Only the control plane does; create another resource for another run.',
      },
    ]);
  },
};
