import type { ExportedKey } from './key-file.ts';

export interface RecoveryGuideFacts {
  readonly keys: readonly ExportedKey[];
  readonly keyFile: string;
  readonly decryptor: string;
  /** Undefined when the kit has no age identities. */
  readonly identityFile: string | undefined;
  readonly isProtected: boolean;
  readonly madeAt: Date;
}

/** `README.md` of a recovery kit: what is in it, and the exact commands. Markdown; holds no secret. */
export function recoveryGuide(facts: RecoveryGuideFacts): string {
  const sections = [introduction(facts), content(facts), dbkSection(facts), ageSection(facts), afterwards()];
  return `${sections.filter((section) => section !== '').join('\n\n')}\n`;
}

function introduction({ isProtected, madeAt }: RecoveryGuideFacts): string {
  const care = isProtected
    ? 'The keys in it are protected by the passphrase that was chosen when it was made. Without that passphrase the kit opens nothing: keep the two apart, and lose neither.'
    : '**The keys in it are not protected: whoever has this folder can read the backups.** Keep it offline, in a safe place, apart from the backups.';
  return `# Recovery kit of DBackup

Made on ${madeAt.toISOString()}. With this folder the encrypted backups can be opened without DBackup.

${care}`;
}

function content({ keys, keyFile, decryptor, identityFile }: RecoveryGuideFacts): string {
  const lines = [`- \`${decryptor}\`: decrypts \`.dbk\` files; needs Node.js 18 or newer and nothing else`];
  if (keys.length > 0) lines.push(`- \`${keyFile}\`: the keys listed below`);
  if (identityFile !== undefined) lines.push(`- \`${identityFile}\`: the age identities (secret keys)`);
  const table = keys.map(({ name, id, version }) => `| ${name} | \`${id}\` | ${version} |`);
  const keyTable = ['| key | id | version |', '|---|---|---|', ...table].join('\n');
  return `## What is in it\n\n${lines.join('\n')}${keys.length > 0 ? `\n\n${keyTable}` : ''}`;
}

function dbkSection({ keys, keyFile, decryptor, isProtected }: RecoveryGuideFacts): string {
  const withKey = `Files that end in \`.dbk\` and were encrypted with one of the keys above:

    node ${decryptor} --key-file ${keyFile} FILE.dbk FILE
${isProtected ? "\nThe script asks for the kit's passphrase.\n" : ''}`;
  const withPassphrase = `Files that end in \`.dbk\` and were encrypted with a passphrase; the script asks for it:

    node ${decryptor} --passphrase FILE.dbk FILE`;
  return `## Decrypt\n\n${keys.length > 0 ? `${withKey}\n` : ''}${withPassphrase}`;
}

function ageSection({ identityFile, isProtected }: RecoveryGuideFacts): string {
  if (identityFile === undefined) {
    return `Files that end in \`.age\`, with the age program (https://age-encryption.org) and your identity file:

    age -d -i IDENTITY-FILE -o FILE FILE.age`;
  }
  return `Files that end in \`.age\`, with the age program (https://age-encryption.org):

    age -d -i ${identityFile} -o FILE FILE.age
${isProtected ? "\nage asks for the kit's passphrase.\n" : ''}`.trimEnd();
}

function afterwards(): string {
  return `## And then

Each backup set has a file \`RESTORE.md\` with all commands for that set: copy the files of this folder beside it and follow it. It also checks, decompresses and loads the data. A decrypted file that was compressed ends in \`.zst\` (\`zstd -d\`), \`.gz\` (\`gunzip\`) or \`.br\` (\`brotli -d\`).

Try the kit now, with a real backup, and make a new one whenever a key is added or gets a new version.`;
}
