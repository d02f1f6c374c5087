import type { FormMeta } from '../forms/form-meta.ts';

/** How the forms of storages on servers show the fields that their drivers have in common. */

export const FOLDER = { icon: 'fa-folder-open-o', placeholder: 'backups' } satisfies FormMeta;

export const CREATE_FOLDER = { icon: 'fa-magic' } satisfies FormMeta;

export const CA_FILE = {
  icon: 'fa-certificate',
  control: 'path',
  section: 'advanced',
  placeholder: '/etc/ssl/private-ca.pem',
} satisfies FormMeta;

export const VERIFY_CERTIFICATE = {
  icon: 'fa-check-circle-o',
  section: 'advanced',
  cautions: ['false'],
} satisfies FormMeta;

export const CONNECTIONS = { icon: 'fa-random', section: 'advanced' } satisfies FormMeta;

export const TIMEOUT = { icon: 'fa-clock-o', unit: 's', section: 'advanced' } satisfies FormMeta;
