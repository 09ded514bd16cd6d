import { isAbsolute, join } from 'node:path';
import en from 'zod/v4/locales/en.js';
import * as z from 'zod/mini';
import type { ModelChoice } from '../protocol/engineMessages';
import { filterKeys, rankingOf } from '../method/settings';
import type { CropMode, FilterSettings } from '../method/types';
import { userSettings, type SettingKey, type SettingValue } from '../method/userSettings';

/** The extension's settings as the rest of the host uses them. */
export interface TatokSettings {
  readonly choice: ModelChoice;
  /** Fields the user has not set are absent: the model's own defaults hold. */
  readonly filter: Partial<FilterSettings>;
  /** How pictures are cut to the model's size, unless an inspector chose otherwise. */
  readonly cropMode: CropMode;
  /** Folder with the CUDA provider's libraries; undefined leaves discovery to the inference process. */
  readonly cudaLibraryPath: string | undefined;
  /** Larger images are refused before they are decoded. */
  readonly maxMegapixels: number;
  /** Milliseconds that a step of inference may take; undefined: any time. */
  readonly stepLimitMs: number | undefined;
}

export interface SettingsContext {
  /** Absolute folder of the model that ships with the extension. */
  readonly bundledModel: string;
  readonly home: string;
  /** Relative model folders start here; undefined without a workspace. */
  readonly workspaceFolder: string | undefined;
  /** False in Restricted Mode: nothing is loaded out of the workspace folder. */
  readonly trusted: boolean;
}

export interface ParsedSettings {
  readonly settings: TatokSettings;
  /** One sentence for every value that was replaced by its default. */
  readonly problems: readonly string[];
}

/** zod's own messages, which its smaller part has only by request. */
const english = { error: en().localeError };

/** Maps raw configuration values to settings; a value of the wrong type or range falls back to its default. */
export function parseSettings(get: (key: SettingKey) => unknown, context: SettingsContext): ParsedSettings {
  const problems: string[] = [];
  const value = <Key extends SettingKey>(key: Key): SettingValue<Key> => {
    // zod cannot relate a setting's schema to its key by itself.
    const schema = userSettings[key].schema as unknown as z.ZodMiniType<SettingValue<Key>>;
    const result = schema.safeParse(get(key), english);
    if (result.success) return result.data;
    problems.push(`The setting tatok.${key} is ignored: ${z.prettifyError(result.error).replaceAll('\n', ' ')}`);
    return schema.parse(undefined);
  };

  const model = modelDirectory(value('model'), context);
  if (model === undefined) {
    problems.push(
      'The setting tatok.model is ignored: it is relative to a folder that is not trusted. Trust the folder, or use an absolute path.',
    );
  }
  const libraries = value('cuda.libraryPath');
  const cudaLibraryPath = absoluteFolder(libraries, context.home);
  if (libraries !== '' && cudaLibraryPath === undefined) {
    problems.push(
      'The setting tatok.cuda.libraryPath is ignored: it is a relative path. Use an absolute path, or one that starts with ~/.',
    );
  }
  const conditioning = value('conditioning');
  const earlier = conditioning === null ? {} : { ranking: rankingOf(conditioning) };
  const filter = filterKeys.flatMap((key) => {
    const own = value(key);
    return own === null ? [] : [[key, own] as const];
  });
  const cudaMemoryLimit = value('cuda.memoryLimit');
  const timeLimit = value('timeLimit');
  const settings: TatokSettings = {
    choice: {
      directory: model ?? context.bundledModel,
      providers: value('providers'),
      cudaDevice: value('cuda.device'),
      ...(cudaMemoryLimit === null ? {} : { cudaMemoryLimit }),
    },
    filter: { ...earlier, ...Object.fromEntries(filter) },
    cropMode: value('cropMode'),
    cudaLibraryPath,
    maxMegapixels: value('maxMegapixels'),
    stepLimitMs: timeLimit === null ? undefined : timeLimit * 1000,
  };
  return { settings, problems };
}

/**
 * Absolute folder of the bundle a `tatok.model` value means: absolute, below the home folder (`~/`), or relative; undefined for one that
 * lies in a folder without trust.
 */
function modelDirectory(setting: string, context: SettingsContext): string | undefined {
  if (setting === '') return context.bundledModel;
  const folder = absoluteFolder(setting, context.home);
  if (folder !== undefined) return folder;
  if (context.workspaceFolder === undefined) return join(context.home, setting);
  return context.trusted ? join(context.workspaceFolder, setting) : undefined;
}

/** The folder that an absolute path means, or one below the home folder (`~/`); undefined for a relative path. */
function absoluteFolder(path: string, home: string): string | undefined {
  if (path === '~' || path.startsWith('~/') || path.startsWith('~\\')) return join(home, path.slice(1));
  return isAbsolute(path) ? path : undefined;
}
