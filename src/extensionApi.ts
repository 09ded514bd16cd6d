/** What `activate` returns: the interface of `api.d.ts`, for other extensions. */
import * as vscode from 'vscode';
import { z } from 'zod';
import type { InspectedTokens, TatokApi, TokenizedImage } from './api';
import type { Inference } from './host/sharedInference';
import type { TatokSettings } from './host/tatokSettings';
import { TatokError } from './method/errors';
import { filterSchema } from './method/settings';
import { cropModes } from './method/types';
import type { OpenedPicture } from './client/client';
import { toTatokError } from './panel/failure';
import { problemOf } from './protocol/contract';
import { ImageFile } from './panel/imageFile';
import { inspectorViewType } from './panel/inspectorPanel';

export interface ApiServices {
  readonly inference: Pick<Inference, 'open'>;
  readonly configuration: { read(resource: vscode.Uri): TatokSettings };
  /** Tells of tokens that inspectors show. */
  readonly onDidTokenize: vscode.Event<InspectedTokens>;
}

const tokenizeOptions = z
  .strictObject({
    model: z.string().min(1),
    settings: z.strictObject(filterSchema.shape).partial(),
    cropMode: z.enum(cropModes),
  })
  .partial();

export function extensionApi({ inference, configuration, onDidTokenize }: ApiServices): TatokApi {
  return {
    version: 1,
    onDidTokenize,
    tokenize: async (uri, options = {}, token) => {
      requireUri(uri);
      const given = tokenizeOptions.safeParse(options);
      if (!given.success) {
        throw new TatokError('bad-settings', `The options are invalid: ${problemOf(given.error)}.`);
      }
      const file = new ImageFile(uri);
      try {
        const { choice, filter, cropMode, maxMegapixels } = configuration.read(uri);
        const { model, settings, cropMode: wanted } = given.data;
        const params = {
          choice: model === undefined ? choice : { ...choice, directory: model },
          file: await file.read(),
          settings: { ...filter, ...settings },
          cropMode: wanted ?? cropMode,
          ...(maxMegapixels < Infinity && { maxMegapixels }),
        };
        const opened = await inference.open(params, { token });
        try {
          return await tokenizedImage(uri, opened, token);
        } finally {
          opened.close();
        }
      } catch (error) {
        throw toTatokError(error, file.name);
      } finally {
        file.dispose();
      }
    },
    openInspector: async (uri, { viewColumn = vscode.ViewColumn.Active, preserveFocus = false } = {}) => {
      requireUri(uri);
      const shown: vscode.TextDocumentShowOptions = { viewColumn, preserveFocus, preview: false };
      await vscode.commands.executeCommand('vscode.openWith', uri, inspectorViewType, shown);
    },
  };
}

function requireUri(uri: unknown): void {
  if (!(uri instanceof vscode.Uri)) throw new TatokError('bad-settings', 'An image is named by a vscode.Uri.');
}

async function tokenizedImage(
  uri: vscode.Uri,
  opened: OpenedPicture,
  token: vscode.CancellationToken | undefined,
): Promise<TokenizedImage> {
  const { image, settings } = opened;
  const kept = await opened.analyses.reconstruct(settings, { token });
  const { width, height, reduction } = image;
  const { keep, totalTokens, payloadBits, maskBits, psnr, ssim, rgb } = kept;
  return {
    ...inspectedTokens(uri, opened),
    ...{ settings, keep, totalTokens, payloadBits, maskBits, psnr, ssim },
    reconstruction: { width: Math.ceil(width / reduction), height: Math.ceil(height / reduction), reduction, rgb },
  };
}

/** What others are told of tokens. Arrays are copies: what is done to them changes no inspector. */
export function inspectedTokens(
  uri: vscode.Uri,
  { model, provider, image, tokens }: Pick<OpenedPicture, 'model' | 'provider' | 'image' | 'tokens'>,
): InspectedTokens {
  const { name, version, hash } = model;
  const { width, height, cropMode, grid } = image;
  return {
    uri,
    model: { name, version, hash },
    provider: provider.provider,
    ...{ width, height, cropMode, grid: { ...grid } },
    globalCodes: tokens.globalCodes.slice(),
    patchCodes: tokens.patchCodes.slice(),
    entropyBits: tokens.entropyBits.slice(),
    surprisalBits: tokens.surprisalBits.slice(),
  };
}
