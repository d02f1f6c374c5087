import type { FlowEntry } from './runtime.ts';

/**
 * A Node-RED storage module that keeps everything in memory: the runner reads the flow from its file and
 * never writes it.
 */
export function memoryStorage(flows: readonly FlowEntry[], credentials: object): object {
  let currentFlows: unknown = flows;
  let currentCredentials: object = credentials;
  let settings: unknown = {};
  let sessions: unknown = {};
  return {
    init: async () => {},
    getFlows: async () => currentFlows,
    saveFlows: async (saved: unknown) => {
      currentFlows = saved;
    },
    getCredentials: async () => currentCredentials,
    saveCredentials: async (saved: object) => {
      currentCredentials = saved;
    },
    getSettings: async () => settings,
    saveSettings: async (saved: unknown) => {
      settings = saved;
    },
    getSessions: async () => sessions,
    saveSessions: async (saved: unknown) => {
      sessions = saved;
    },
    getLibraryEntry: async () => [],
    saveLibraryEntry: async () => {},
  };
}
