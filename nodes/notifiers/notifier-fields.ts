import { z } from 'zod';
import { isWebAddress } from '../../lib/notifiers/content.ts';
import { type PolicyOptions, policyOptions, policyProblems } from '../../lib/notifiers/policy.ts';
import { type TemplateOptions, templateOptions } from '../../lib/notifiers/templates.ts';
import { nodeName } from '../forms/common-fields.ts';

const policy = policyOptions.shape;

/** What every notifier's form begins with. */
export const firstFields = { name: nodeName };

/** Which events are told, and when. */
export const policyFields = {
  events: policy.events.meta({ control: 'choices', icon: 'fa-bullhorn' }),
  deliver: policy.deliver.meta({ icon: 'fa-paper-plane-o' }),
  severity: policy.severity.meta({ icon: 'fa-exclamation-triangle', section: 'advanced' }),
  reminderHours: policy.reminderHours.meta({ icon: 'fa-bell-o', unit: 'h', section: 'advanced' }),
  digestTime: policy.digestTime.meta({ icon: 'fa-clock-o', placeholder: '08:00', section: 'advanced' }),
  digestZone: policy.digestZone.meta({
    icon: 'fa-globe',
    placeholder: 'Europe/Berlin',
    section: 'advanced',
  }),
  link: z
    .string()
    .max(500)
    .refine((link) => link === '' || isWebAddress(link), 'is no address: it must begin with https://')
    .default('')
    .meta({ icon: 'fa-external-link', placeholder: 'https://backup.example.com/', section: 'advanced' }),
};

/** The texts. */
export const templateFields = {
  title: templateOptions.shape.title.meta({
    icon: 'fa-header',
    placeholder: '{{ job }}: {{ event }}',
    section: 'advanced',
  }),
  body: templateOptions.shape.body.meta({ icon: 'fa-file-text-o', control: 'lines', section: 'advanced' }),
};

export interface CommonSettings extends PolicyOptions, Partial<TemplateOptions> {
  readonly name: string;
  readonly link: string;
}

/** The check of what no single field tells. */
export function refuseWrongPolicy(settings: PolicyOptions, context: z.core.$RefinementCtx): void {
  for (const { field, message } of policyProblems(settings)) {
    context.addIssue({ code: 'custom', path: [field], message });
  }
}
