const { readFileSync } = require('node:fs');

/** Node-RED's settings for `npm start`: local, quiet, and without any call to the outside. */
module.exports = {
  uiHost: '127.0.0.1',
  uiPort: Number(process.env.PORT ?? 1880),
  flowFile: 'flows.json',
  flowFilePretty: true,
  credentialSecret: readFileSync(process.env.CREDENTIAL_SECRET_FILE, 'utf8').trim(),
  telemetry: { enabled: false, updateNotification: false },
  externalModules: { autoInstall: false, palette: { allowInstall: false }, modules: { allowInstall: false } },
  editorTheme: {
    tours: false,
    palette: { catalogues: [] },
    projects: { enabled: false },
    header: { title: 'DBackup for Node-RED' },
  },
};
