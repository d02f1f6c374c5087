import type { BackupError } from '../../errors.ts';
import { type ToolCommand, ToolProcess } from '../../tool/tool-process.ts';
import { type ClientFiles, writeClientFiles } from './client-files.ts';
import { findSmbclient } from './client-tool.ts';
import type { SmbOptions } from './options.ts';

/**
 * For smbclient itself, in s: for ever. It counts the time in which we keep it waiting, with bytes or for bytes,
 * as the server's; we count only the server's.
 */
const NO_TIMEOUT = 2_000_000;

/** A run of smbclient. */
export interface Client {
  readonly tool: ToolProcess;
  readonly files: ClientFiles;
}

export interface ClientRun {
  readonly args: readonly string[];
  /** What it works on, for errors. */
  readonly subject: string;
  heard?(line: string): void;
  classify?(failure: BackupError): BackupError;
}

/**
 * Starts smbclient, connected to the share. What it says goes to stderr, so that stdout has data only.
 * @throws BackupError `unavailable` when it cannot be had
 */
export async function startClient(options: SmbOptions, run: ClientRun, signal: AbortSignal): Promise<Client> {
  const program = await findSmbclient(options.clientFolder, signal);
  const files = await writeClientFiles(options);
  const command: ToolCommand = {
    ...run,
    program,
    args: [...files.args, ...connectionArguments(options), ...run.args],
    // Times in listings are in the zone of the client.
    env: { TZ: 'UTC0' },
  };
  try {
    const tool = new ToolProcess(command, signal);
    void tool.exited.then(() => files.remove());
    return { tool, files };
  } catch (error) {
    await files.remove();
    throw error;
  }
}

function connectionArguments({ host, port, share }: SmbOptions): string[] {
  return [
    '--quiet',
    '--stderr',
    `--timeout=${NO_TIMEOUT}`,
    `--port=${port}`,
    // An address of IPv6 cannot be the host of a service.
    ...(host.includes(':') ? [`--ip-address=${host}`] : []),
    `//${host.includes(':') ? 'server' : host}/${share}`,
  ];
}
