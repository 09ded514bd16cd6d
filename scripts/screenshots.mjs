// Renews media/screenshots, with the moving picture of ε and the concept drawing, and the pictures of media/walkthrough, from a real
// VS Code: `npm run screenshots [-- FILTER]`.
import { runInVSCode } from './lib/vitest.mjs';

process.exitCode = await runInVSCode('test/screenshots/vitest.config.mts', process.argv.slice(2));
if (process.exitCode === 0) console.log('Look at media/screenshots/ and media/walkthrough/ before committing them.');
