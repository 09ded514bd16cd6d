/** From a bundle's folder to a model that runs: manifest, verified files, sessions of the first provider that works. */
import { InferenceSession } from 'onnxruntime-node';
import { join } from 'node:path';
import type { Batching, LoadedModel, ModelChoice } from '../protocol/engineMessages';
import { TatokError } from '../method/errors';
import { graphNames, Graphs, type Sessions } from './graphs';
import type { Bundle } from '../bundle/manifest';
import { TaTok } from './pipeline';
import type { GraphSession } from './thread/graphSession';
import type { ProviderName } from '../method/types';
import { readGraph, verifyFiles } from '../bundle/verify';
import { batchSize, sessionOptions } from './sessionOptions';
import { cudaDirectoryVariable, cudaReasonVariable } from '../cuda/environment';
import { mayFallBack } from '../protocol/providerOrder';
import { explainProviderFailure, firstProvider, sentence } from './providers';
import { ProviderFailed } from '../protocol/errorTransfer';
import { ThreadedSession } from './thread/threadedSession';

/** Bundled beside the code that loads models. */
const sessionThread = join(__dirname, 'sessionThread.js');

/** A model with its sessions, and the client's description of it. */
export interface RunningModel {
  readonly tatok: TaTok;
  /** The graphs that `tatok` runs, for benchmarks. */
  readonly graphs: Graphs;
  readonly loaded: LoadedModel;
  readonly batching: Batching;
}

/**
 * @param excluded providers that failed while they ran, and why; they are not tried again.
 * @param onOpening waited for before sessions are opened on a provider.
 * @throws TatokError of the bundle's files, its graphs or the providers; ProviderFailed.
 */
export async function loadBundle(
  { model, manifest }: Bundle,
  choice: ModelChoice,
  excluded: ReadonlyMap<ProviderName, string> = new Map(),
  onOpening: (provider: ProviderName) => Promise<void> = () => Promise.resolve(),
): Promise<RunningModel> {
  const { providers, cudaMemoryLimit } = choice;
  await verifyFiles(model.directory, manifest);
  const { value: sessions, report } = await firstProvider(
    providers,
    async (provider) => {
      const reason = excluded.get(provider);
      if (reason !== undefined) throw new Error(reason);
      await onOpening(provider);
      return createSessions(provider, manifest, model.directory, choice);
    },
    (provider, error) => excluded.get(provider) ?? explainProviderFailure(provider, error),
  );
  try {
    const graphs = new Graphs(sessions, model, report.provider);
    const size = batchSize(report.provider, model, cudaMemoryLimit);
    // Graphs that are made for a provider are those of float16.
    const precision = manifest.variants[report.provider] === undefined ? 'float32' : 'float16';
    const tatok = new TaTok(model, graphs, size);
    return { tatok, graphs, loaded: { model, provider: report }, batching: { batchSize: size, precision } };
  } catch (error) {
    await releaseAll(graphNames.flatMap((graph) => sessions[graph] ?? []));
    throw error;
  }
}

async function createSessions(
  provider: ProviderName,
  { graphs, variants, files }: Bundle['manifest'],
  directory: string,
  choice: ModelChoice,
): Promise<Sessions> {
  const hasProvider = process.env[cudaDirectoryVariable] !== undefined;
  if (provider === 'cuda' && !hasProvider) throw new Error(process.env[cudaReasonVariable]);
  const options = sessionOptions(provider, choice);
  const open = async (file: string) => {
    const { bytes, externalData } = await readGraph(directory, files, file);
    return InferenceSession.create(bytes, { ...options, externalData });
  };
  const own = variants[provider];
  const { encoder, entropy, decoder } = own ?? graphs;
  const created: InferenceSession[] = [];
  const create = async (file: string) => {
    const session = await open(file);
    created.push(session);
    return session;
  };
  try {
    return {
      // Where one graph does its work, the encoder by itself is for those who time it.
      ...(own?.tokenizer === undefined
        ? { encoder: await create(encoder) }
        : { openEncoder: () => open(encoder), tokenizer: await create(own.tokenizer) }),
      ...(entropy !== undefined && { entropy: await create(entropy) }),
      decoder: await create(decoder),
      ...(own !== undefined && { openAttentive: () => open(graphs.encoder) }),
      // On the CPU two sessions that run at a time would only share its cores; other providers were not tried.
      ...(provider === 'cuda' && {
        openBatchDecoder: async () =>
          ThreadedSession.open(sessionThread, await readGraph(directory, files, decoder), options),
      }),
    };
  } catch (error) {
    if (provider !== 'cpu') {
      if (!mayFallBack(choice.providers, provider)) {
        // This process goes on. On a device that is lost releasing may never return, so the error goes first.
        setImmediate(() => void releaseAll(created).catch(() => undefined));
        throw error;
      }
      if (created.length === 0) throw error;
      throw new ProviderFailed({ choice, provider, reason: explainProviderFailure(provider, error) }, error);
    }
    await releaseAll(created);
    // The CPU provider is part of the runtime: a file that it cannot load is not a graph.
    throw new TatokError('model-incompatible', `ONNX Runtime cannot load the model: ${sentence(error)}`, undefined, {
      cause: error,
    });
  }
}

async function releaseAll(sessions: readonly GraphSession[]): Promise<void> {
  await Promise.all(sessions.map((session) => session.release()));
}
