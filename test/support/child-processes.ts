import { readdirSync, readFileSync } from 'node:fs';

/** Ids of the processes that this one has started and that are still there, Linux only. */
export function childProcesses(): number[] {
  return childrenOf(process.pid);
}

/** Ids of the processes that another one has started and that are still there, Linux only. */
export function childrenOf(pid: number): number[] {
  const children: number[] = [];
  for (const name of readdirSync('/proc')) {
    if (!/^\d+$/.test(name)) continue;
    const [state, parent] = statusOf(name);
    if (Number(parent) === pid && state !== 'Z') children.push(Number(name));
  }
  return children;
}

/** Ids of the processes of a process group that are still there, Linux only. */
export function groupOf(group: number): number[] {
  const names = readdirSync('/proc').filter((name) => /^\d+$/.test(name));
  const members = names.filter((name) => {
    const [state, , processGroup] = statusOf(name);
    return Number(processGroup) === group && state !== 'Z';
  });
  return members.map(Number);
}

function statusOf(pid: string): string[] {
  try {
    return readFileSync(`/proc/${pid}/stat`, 'latin1')
      .replace(/^.*\) /s, '')
      .split(' ');
  } catch {
    return [];
  }
}
