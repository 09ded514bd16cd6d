// Runs in the inference process and the threads of its sessions, before them: stands for a CUDA provider that opens every graph, and
// crashes when it runs a decoder once there is a file named crash in the home folder.
const { existsSync } = require('node:fs');
const { homedir } = require('node:os');
const { join } = require('node:path');
const { kill, pid } = require('node:process');
const { InferenceSession } = require('onnxruntime-node');
const { tokenizerOf } = require('./tokenizerStandIn.cjs');

const create = InferenceSession.create.bind(InferenceSession);

/** @param {string} path @param {import('onnxruntime-node').InferenceSession.SessionOptions} options */
async function createOnAny(path, { executionProviders: [provider] = [], ...options }) {
  /** @param {string} file */
  const open = (file) => create(file.replace('.cuda.onnx', '.onnx'), { ...options, executionProviders: ['cpu'] });
  // Graphs for CUDA alone hold operators that the CPU lacks.
  if (path.includes('tokenizer')) {
    return tokenizerOf(
      await open(path.replace('tokenizer', 'encoder')),
      await open(path.replace('tokenizer', 'entropy')),
    );
  }
  const session = await open(path);
  const isCuda = typeof provider === 'object' && provider.name === 'cuda';
  if (!isCuda || !path.includes('decoder')) return session;
  const { run } = session;
  /** @param {Parameters<typeof session.run>} given */
  const runOrCrash = (...given) => {
    if (existsSync(join(homedir(), 'crash'))) kill(pid, 'SIGSEGV');
    return Reflect.apply(run, session, given);
  };
  return Object.assign(session, { run: runOrCrash });
}

Object.assign(InferenceSession, { create: createOnAny });
