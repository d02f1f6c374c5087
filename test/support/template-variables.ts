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

function variablesOf(prefix: string): Record<string, string> {
  const values = { HOST: '127.0.0.1', PORT: '12345', USER: 'backup', PASSWORD: 'x', DATABASE: 'shop' };
  return Object.fromEntries(Object.entries(values).map(([name, value]) => [`${prefix}_${name}`, value]));
}
