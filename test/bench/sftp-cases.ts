import type { BenchCase, Target } from './cases.ts';
import { child, pipeline } from './commands.ts';
import { type BenchSftp, UPLOADED } from './sftp.ts';
import type { Workspace } from './workspace.ts';

const common = { needs: 'sftp', bytes: (workspace: Workspace) => sftpOf(workspace).bytes } as const;
const ours = { ...common, ours: true } as const;
const peer = { ...common, ours: false } as const;
const clear = async (workspace: Workspace) => await sftpOf(workspace).clear();

/** Uploads and downloads of one object: on this host, and with 20 ms of round trip. */
export const SFTP_CASES = {
  sftpUpload: {
    ...ours,
    name: 'SFTP: upload',
    command: (workspace) => transfer('sftp', workspace, 'near', 'upload'),
    after: clear,
  },
  sftpDownload: {
    ...ours,
    name: 'SFTP: download',
    command: (workspace) => transfer('sftp', workspace, 'near', 'download'),
  },
  sftpFarUpload: {
    ...ours,
    name: 'SFTP, 20 ms: upload',
    command: (workspace) => transfer('sftp', workspace, 'far', 'upload'),
    after: clear,
  },
  sftpFarDownload: {
    ...ours,
    name: 'SFTP, 20 ms: download',
    command: (workspace) => transfer('sftp', workspace, 'far', 'download'),
  },
  sftpFarToolUpload: {
    ...peer,
    name: 'SFTP, 20 ms: upload by the sftp command',
    command: (workspace) => {
      const { tool, file, uploadPath } = sftpOf(workspace);
      return pipeline(`echo "put '${file}' '${uploadPath}'" | ${tool}`);
    },
    after: clear,
  },
  sftpFarToolDownload: {
    ...peer,
    name: 'SFTP, 20 ms: download by the sftp command',
    command: (workspace, output) => {
      const { tool, objectPath } = sftpOf(workspace);
      return pipeline(`echo "get '${objectPath}' '${output}/file'" | ${tool}`);
    },
  },
  sftpSerialUpload: {
    ...peer,
    name: 'SFTP: upload, one request at a time',
    slow: true,
    command: (workspace) => transfer('sftp-serial', workspace, 'near', 'upload'),
    after: clear,
  },
  sftpSerialDownload: {
    ...peer,
    name: 'SFTP: download, one request at a time',
    slow: true,
    command: (workspace) => transfer('sftp-serial', workspace, 'near', 'download'),
  },
  sftpFarSerialUpload: {
    ...peer,
    name: 'SFTP, 20 ms: upload, one request at a time',
    slow: true,
    command: (workspace) => transfer('sftp-serial', workspace, 'far', 'upload'),
    after: clear,
  },
  sftpFarSerialDownload: {
    ...peer,
    name: 'SFTP, 20 ms: download, one request at a time',
    slow: true,
    command: (workspace) => transfer('sftp-serial', workspace, 'far', 'download'),
  },
} as const satisfies Record<string, BenchCase>;

/** The figures to reach. */
export const SFTP_TARGETS: readonly Target[] = [
  {
    name: 'SFTP, 20 ms: upload, against one request at a time',
    kind: 'speed',
    ours: 'sftpFarUpload',
    peer: 'sftpFarSerialUpload',
    limit: 10,
  },
  {
    name: 'SFTP, 20 ms: download, against one request at a time',
    kind: 'speed',
    ours: 'sftpFarDownload',
    peer: 'sftpFarSerialDownload',
    limit: 10,
  },
  {
    name: 'SFTP: upload, against one request at a time',
    kind: 'speed',
    ours: 'sftpUpload',
    peer: 'sftpSerialUpload',
  },
  {
    name: 'SFTP: download, against one request at a time',
    kind: 'speed',
    ours: 'sftpDownload',
    peer: 'sftpSerialDownload',
  },
  {
    name: 'SFTP: upload with 20 ms, against without',
    kind: 'cost',
    ours: 'sftpFarUpload',
    peer: 'sftpUpload',
  },
  {
    name: 'SFTP: download with 20 ms, against without',
    kind: 'cost',
    ours: 'sftpFarDownload',
    peer: 'sftpDownload',
  },
  {
    name: 'SFTP, 20 ms: upload, against the sftp command',
    kind: 'speed',
    ours: 'sftpFarUpload',
    peer: 'sftpFarToolUpload',
  },
  {
    name: 'SFTP, 20 ms: download, against the sftp command',
    kind: 'speed',
    ours: 'sftpFarDownload',
    peer: 'sftpFarToolDownload',
  },
];

function transfer(
  program: string,
  workspace: Workspace,
  where: 'near' | 'far',
  direction: 'upload' | 'download',
): string[] {
  const sftp = sftpOf(workspace);
  const object = direction === 'upload' ? UPLOADED : sftp.object;
  return child(program, sftp[where], direction, sftp.file, object);
}

function sftpOf({ sftp }: Workspace): BenchSftp {
  if (sftp === undefined) throw new Error('the SSH server was not started');
  return sftp;
}
