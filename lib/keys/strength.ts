/** Shorter secrets are guessed too fast, even behind scrypt. */
const MIN_CHARACTERS = 12;

/** Why a secret that shall protect keys or files is refused, as the end of a sentence; undefined when it is not. */
export function secretProblem(secret: string): string | undefined {
  if (secret === '') return 'is empty';
  if ([...secret].length < MIN_CHARACTERS) {
    return `is shorter than ${MIN_CHARACTERS} characters: take a longer one, such as the output of: openssl rand -base64 24`;
  }
  return undefined;
}
