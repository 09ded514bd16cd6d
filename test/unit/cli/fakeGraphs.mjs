// Stands for the process that times graphs: does what its task's `choice.directory` says.
const { choice } = JSON.parse(process.argv[2] ?? '{}');
/** @param {object} message */
const tell = (message) => new Promise((resolve) => process.send?.(message, resolve));

await tell({ kind: 'doing', what: 'encode, batch 8, first run' });
await tell({ kind: 'timed', timed: { batch: 1, milliseconds: {}, imagesPerSecond: {} } });
if (choice.directory === 'hang') for (;;);
if (choice.directory === 'crash') process.kill(process.pid, 'SIGKILL');
if (choice.directory === 'fail') await tell({ kind: 'failed', reason: 'The encoder graph could not be run.' });
if (choice.directory === 'finish') await tell({ kind: 'done' });
// A session that is never destroyed.
setInterval(() => undefined, 1000);
