import { z } from 'zod';
import { createEmailChannel } from '../../lib/notifiers/email.ts';
import { emailVariants } from '../../lib/notifiers/email-options.ts';
import { templateProblems } from '../../lib/notifiers/templates.ts';
import { HTML } from '../../lib/notifiers/text-format.ts';
import { firstFields, policyFields, refuseWrongPolicy, templateFields } from './notifier-fields.ts';
import { notifierNode } from './notifier-node.ts';

const starttls = emailVariants.starttls.shape;
const tls = emailVariants.tls.shape;
const none = emailVariants.none.shape;

const host = { host: starttls.host.meta({ icon: 'fa-server', placeholder: 'smtp.example.com' }) };
const signIn = {
  user: starttls.user.meta({ icon: 'fa-user' }),
  password: starttls.password.meta({ icon: 'fa-lock', secret: true }),
};
const letter = {
  from: starttls.from.meta({ icon: 'fa-envelope-o', placeholder: 'DBackup <backup@example.com>' }),
  to: starttls.to.meta({ icon: 'fa-users', placeholder: 'admin@example.com' }),
  ...policyFields,
  subjectPrefix: starttls.subjectPrefix.meta({ icon: 'fa-tag', section: 'advanced' }),
  ...templateFields,
};
const authority = {
  caFile: starttls.caFile.meta({ icon: 'fa-certificate', control: 'path', section: 'advanced' }),
};
const port = { icon: 'fa-plug' } as const;

/** Tells people by mail. */
export const emailNode = notifierNode({
  kind: 'email',
  schema: z
    .discriminatedUnion('security', [
      z.object({
        ...firstFields,
        ...host,
        security: starttls.security.meta({ icon: 'fa-shield' }),
        port: starttls.port.meta(port),
        ...signIn,
        ...letter,
        ...authority,
      }),
      z.object({
        ...firstFields,
        ...host,
        security: tls.security,
        port: tls.port.meta(port),
        ...signIn,
        ...letter,
        ...authority,
      }),
      z.object({
        ...firstFields,
        ...host,
        security: none.security.meta({ cautions: ['none'] }),
        port: none.port.meta(port),
        ...letter,
      }),
    ])
    .superRefine(refuseWrongPolicy),
  channel: createEmailChannel,
  faults: (settings) => templateProblems(settings, HTML),
});
