/** Which transport a node runs on, and what was missing when it is not the one first wished for. */
import { SkeinError } from '../errors.js'
import { loadAddon } from './native/load.js'
import { createNativeTransport } from './native/native-transport.js'
import { createNetTransport } from './net/net-transport.js'
import type { Transport, TransportOptions } from './transport.js'

export interface TransportChoice {
  /** Makes it; nothing is bound before its `start`. */
  readonly create: (options: TransportOptions) => Transport
  /** Set when `auto` had to take `net`: why the native binary did not load. */
  readonly fallbackReason?: string
}

/** Loads the addon or throws `ERR_SKEIN_ADDON_LOAD`. */
export type AddonLoader = () => unknown

/** Rejects with `ERR_SKEIN_ADDON_LOAD` when `native` was asked for and no binary loads. */
export function chooseTransport(
  wanted: 'auto' | 'native' | 'net' | TransportChoice['create'],
  load: AddonLoader = loadAddon,
): TransportChoice {
  if (typeof wanted === 'function') return { create: wanted }
  if (wanted === 'net') return { create: createNetTransport }
  try {
    load()
    return { create: createNativeTransport }
  } catch (error) {
    const why = error instanceof Error ? error.message : String(error)
    if (wanted === 'auto') return { create: createNetTransport, fallbackReason: why }
    throw new SkeinError(
      'ERR_SKEIN_ADDON_LOAD',
      `${why}. Nothing was started; transport 'net' needs no binary`,
      {
        cause: error,
      },
    )
  }
}
