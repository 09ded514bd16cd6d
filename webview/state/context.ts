import { createContext } from 'preact';
import { useContext } from 'preact/hooks';
import type { Inspector } from './inspector';
import type { Session } from './session';
import type { Layers } from './layers';
import type { Theme } from '../canvas/theme';

/** Services that the components of one tokenization share. */
export interface Services {
  readonly inspector: Inspector;
  readonly session: Session;
  readonly layers: Layers;
  readonly theme: Theme;
}

export const ServicesContext = createContext<Services | undefined>(undefined);

export function useServices(): Services {
  const services = useContext(ServicesContext);
  if (services === undefined) throw new Error('no services provided');
  return services;
}
