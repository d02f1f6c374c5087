import { readFile } from 'node:fs/promises';
import type { AnyAuthMethod, AuthHandlerMiddleware, ParsedKey } from 'ssh2';
import { BackupError, toBackupError } from '../errors.ts';
import { knowSecret } from '../logs/redact.ts';
import type { SshOptions } from './options.ts';
import type { SshLibrary } from './ssh-library.ts';

type KeyOptions = Extract<SshOptions, { auth: 'key' }>;
type PasswordOptions = Extract<SshOptions, { auth: 'password' }>;

/**
 * How we prove who we are, in the order of trying.
 * @throws BackupError `invalid-config` when the key, its passphrase or the agent is missing or wrong
 */
export async function signInMethods(ssh: SshLibrary, options: SshOptions): Promise<AnyAuthMethod[]> {
  const username = options.user;
  switch (options.auth) {
    case 'password':
      return passwordMethods(options);
    case 'key':
      return [{ type: 'publickey', username, key: await privateKeyOf(ssh, options) }];
    case 'agent': {
      const agent = options.agentSocket === '' ? process.env.SSH_AUTH_SOCK : options.agentSocket;
      if (agent !== undefined && agent !== '') return [{ type: 'agent', username, agent }];
      throw new BackupError(
        'invalid-config',
        `No SSH agent for ${username}@${options.host}: set its socket, or start with SSH_AUTH_SOCK set`,
      );
    }
  }
}

/**
 * Tries one after the other.
 * @param confirm is awaited before each of them
 */
export function inTurn(
  methods: readonly AnyAuthMethod[],
  confirm: () => Promise<void>,
  fail: (error: unknown) => void,
): AuthHandlerMiddleware {
  let tried = 0;
  return (_left, _partial, next) => {
    const method = methods[tried];
    tried += 1;
    if (method === undefined) fail(allRefused());
    else confirm().then(() => next(method), fail);
  };
}

function allRefused(): Error {
  return Object.assign(new Error('All methods of signing in were refused'), {
    level: 'client-authentication',
  });
}

/** Some servers take a password only as the answer to a question. */
function passwordMethods({ user, password }: PasswordOptions): AnyAuthMethod[] {
  let asked = false;
  return [
    { type: 'password', username: user, password },
    {
      type: 'keyboard-interactive',
      username: user,
      prompt: (_name, _instructions, _language, prompts, answer) => {
        // Asked again, the password was wrong.
        const hidden = asked ? [] : prompts.filter(({ echo }) => echo !== true);
        if (prompts.length > 0) asked = true;
        answer(prompts.map((prompt) => (hidden.includes(prompt) ? password : '')));
      },
    },
  ];
}

async function privateKeyOf(ssh: SshLibrary, options: KeyOptions): Promise<ParsedKey> {
  const text = options.privateKey ?? (await readKeyFile(options));
  const where = options.privateKey === undefined ? options.keyFile : `for ${options.user}@${options.host}`;
  const parsed: ParsedKey | ParsedKey[] | Error = ssh.utils.parseKey(text, options.passphrase);
  const key = Array.isArray(parsed) ? parsed[0] : parsed;
  if (key instanceof Error || key === undefined) {
    throw new BackupError('invalid-config', `The SSH key ${where} ${complaintOf(key, options)}`);
  }
  if (!key.isPrivateKey()) {
    throw new BackupError('invalid-config', `The SSH key ${where} is a public key: give the private one`);
  }
  return key;
}

async function readKeyFile({ keyFile, user, host }: KeyOptions): Promise<string> {
  if (keyFile === '') {
    throw new BackupError(
      'invalid-config',
      `No SSH key for ${user}@${host}: give one, or the path of its file`,
    );
  }
  try {
    return knowSecret(await readFile(keyFile, 'utf8'));
  } catch (error) {
    throw toBackupError(error, `The SSH key ${keyFile} cannot be read`);
  }
}

/** The library's own text is not passed on: it is made while a key is being read. */
function complaintOf(error: Error | undefined, { passphrase }: KeyOptions): string {
  const text = error?.message ?? '';
  if (/no passphrase given/i.test(text)) return 'is encrypted: give its passphrase';
  if (/integrity check failed|bad decrypt|bad passphrase|decrypt/i.test(text)) {
    return passphrase === undefined
      ? 'is encrypted: give its passphrase'
      : 'cannot be opened with this passphrase';
  }
  return 'is no private key in OpenSSH or PEM format';
}
