import { extensionOf, undoCommand } from '../transforms/inverse.ts';
import { loadingAdvice } from './loading-advice.ts';
import { isStored, type Manifest, type StoredArtifact } from './manifest.ts';
import { GUIDE_FILE } from './names.ts';
import { shell, shellQuote } from './shell-text.ts';
import { type SetTextFile, sumsFiles } from './sums.ts';

/**
 * `RESTORE.md`: the exact commands that give back every database of this set with standard tools, in
 * shell blocks that can be run as they stand, from inside the set's folder.
 */
export function restoreGuide(manifest: Manifest): SetTextFile {
  const stored = manifest.artifacts.filter(isStored);
  const sums = sumsFiles(manifest);
  const decoded = sums.filter((file) => file.decoded);
  const sections = [
    `# Restore ${oneLine(manifest.job)}, ${oneLine(manifest.set)}`,
    introduction(manifest, stored),
    '## 1. Check the stored files',
    shell(sums.filter(({ decoded }) => !decoded).map(({ tool, name }) => `${tool} -c ${name}`)),
    '## 2. Undo the steps',
    ...stored.map(artifactSection),
    ...(decoded.length > 0
      ? [
          '## 3. Check what came out',
          'Files that you did not decode are passed over. Do not use a file for which this fails.',
          shell(decoded.map(({ tool, name }) => `${tool} -c --ignore-missing ${name}`)),
        ]
      : []),
    `## ${decoded.length > 0 ? 4 : 3}. Put the database back`,
    ...loadingAdvice(stored),
  ];
  return { name: GUIDE_FILE, text: `${sections.join('\n\n')}\n` };
}

function introduction(manifest: Manifest, stored: readonly StoredArtifact[]): string {
  const tools = new Set([
    ...sumsFiles(manifest).map(({ tool }) => tool),
    ...stored.flatMap((artifact) => undoTools(artifact)),
  ]);
  const failed = manifest.artifacts.length - stored.length;
  return [
    `Written by ${manifest.product.name} ${manifest.product.version} on ${manifest.finishedAt}.`,
    `The product is not needed for what follows, only: ${[...tools].join(', ')}.`,
    'Run the blocks in this folder, or in a copy of it.',
    ...(failed > 0
      ? [`**${failed} database(s) of this run failed and are not in this set: see manifest.json.**`]
      : []),
  ].join('\n');
}

function undoTools(artifact: StoredArtifact): string[] {
  return artifact.steps.flatMap((record) => undoCommand(record)?.tool ?? []);
}

function artifactSection(artifact: StoredArtifact): string {
  const commands: string[] = [];
  const advice: string[] = [];
  let file = artifact.file;
  for (const record of artifact.steps.toReversed()) {
    const undo = undoCommand(record);
    if (undo === undefined) continue;
    const next = file.slice(0, file.length - extensionOf(record).length);
    commands.push(undo.command(shellQuote(file), shellQuote(next)));
    if (undo.advice !== undefined) advice.push(undo.advice);
    file = next;
  }
  const title = `### ${artifact.rawFile} (${artifact.source}, ${artifact.raw.bytes} bytes)`;
  if (commands.length === 0) return `${title}\n\nStored as it is: nothing to undo.`;
  return [title, ...new Set(advice), shell(commands)].join('\n\n');
}

function oneLine(text: string): string {
  return text.replaceAll(/\s+/g, ' ');
}
