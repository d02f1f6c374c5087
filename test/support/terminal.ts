import { spawn } from 'node:child_process';
import { once } from 'node:events';

export interface TerminalResult {
  readonly code: number | null;
  /** Everything the terminal showed. */
  readonly shown: string;
}

const PROMPT = /passphrase[^:\n]*: /gi;

/**
 * Runs a command on a terminal of its own (`script` of util-linux) and types one passphrase at each prompt.
 */
export async function typeAtPrompts(
  command: readonly string[],
  passphrases: readonly string[],
): Promise<TerminalResult> {
  const line = command.map((word) => `'${word.replaceAll("'", "'\\''")}'`).join(' ');
  const child = spawn('script', ['-q', '-e', '-c', line, '/dev/null'], { stdio: 'pipe' });
  let shown = '';
  let answered = 0;
  const answer = (chunk: Buffer) => {
    shown += chunk.toString('latin1');
    const prompts = shown.match(PROMPT)?.length ?? 0;
    while (answered < prompts && answered < passphrases.length) {
      child.stdin.write(`${passphrases[answered]}\n`);
      answered += 1;
    }
  };
  child.stdout.on('data', answer);
  child.stderr.on('data', answer);
  const [code] = (await once(child, 'close')) as [number | null];
  return { code, shown };
}
