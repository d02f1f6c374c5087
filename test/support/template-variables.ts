/** Values for what the comments of the templates of servers ask a person to set; nothing is there. */
export const SERVER_VARIABLES: Readonly<Record<string, string>> = {
  ...variablesOf('POSTGRES'),
  ...variablesOf('MYSQL'),
  SSH_HOST: 'bastion.example.com',
  SSH_PORT: '22',
  SSH_USER: 'backup',
  SSH_KEY_FILE: '/etc/dbackup/id_ed25519',
  SSH_HOST_KEY: 'SHA256:oHx3dJ8bXJPpCQvFgKp1nq9cXyC0q5zN6tZq0m1sV4E',
};

/** The same for the templates of storages. */
export const STORAGE_VARIABLES: Readonly<Record<string, string>> = {
  S3_ENDPOINT: 'https://s3.example.com',
  S3_REGION: 'eu-central-1',
  S3_BUCKET: 'my-backups',
  S3_ACCESS_KEY_ID: 'AKIAEXAMPLE',
  S3_SECRET_ACCESS_KEY: 'x',
  SFTP_HOST: 'backup.example.com',
  SFTP_PORT: '22',
  SFTP_USER: 'backup',
  SFTP_KEY_FILE: '/etc/dbackup/id_ed25519',
  SFTP_HOST_KEY: 'SHA256:oHx3dJ8bXJPpCQvFgKp1nq9cXyC0q5zN6tZq0m1sV4E',
  SFTP_FOLDER: 'backups/app',
  NEXTCLOUD_URL: 'https://cloud.example.com',
  NEXTCLOUD_USER: 'alice',
  NEXTCLOUD_APP_PASSWORD: 'x',
  FTP_HOST: 'ftp.example.com',
  FTP_PORT: '21',
  FTP_USER: 'backup',
  FTP_PASSWORD: 'x',
  FTP_CA_FILE: '/etc/ssl/certs/ca-certificates.crt',
  RSYNC_HOST: 'backup.example.com',
  RSYNC_PORT: '22',
  RSYNC_USER: 'backup',
  RSYNC_KEY_FILE: '/etc/dbackup/id_ed25519',
  RSYNC_HOST_KEY: 'SHA256:oHx3dJ8bXJPpCQvFgKp1nq9cXyC0q5zN6tZq0m1sV4E',
  RSYNC_FOLDER: 'backups/app',
  SMB_HOST: 'nas.example.com',
  SMB_PORT: '445',
  SMB_SHARE: 'backups',
  SMB_USER: 'backup',
  SMB_PASSWORD: 'x',
};

/** The same for the templates of notifiers. */
export const NOTIFIER_VARIABLES: Readonly<Record<string, string>> = {
  SMTP_HOST: 'smtp.example.com',
  SMTP_PORT: '587',
  SMTP_USER: 'backup',
  SMTP_PASSWORD: 'x',
  SMTP_CA_FILE: '/etc/ssl/certs/ca-certificates.crt',
  MAIL_FROM: 'backup@example.com',
  MAIL_TO: 'admin@example.com',
  DISCORD_WEBHOOK_URL: 'https://discord.com/api/webhooks/1/x',
  SLACK_WEBHOOK_URL: 'https://hooks.slack.com/services/T0/B0/x',
  TEAMS_WEBHOOK_URL: 'https://example.com/workflows/x',
  EVENT_WEBHOOK_URL: 'https://example.com/backups',
  EVENT_WEBHOOK_SECRET: 'x',
  NTFY_SERVER: 'https://ntfy.sh',
  NTFY_TOPIC: 'x',
  HEALTHCHECKS_URL: 'https://hc-ping.com/x',
};

function variablesOf(prefix: string): Record<string, string> {
  const values = { HOST: '127.0.0.1', PORT: '12345', USER: 'backup', PASSWORD: 'x', DATABASE: 'shop' };
  return Object.fromEntries(Object.entries(values).map(([name, value]) => [`${prefix}_${name}`, value]));
}
