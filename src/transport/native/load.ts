/**
 * Finds and loads the addon: the prebuilt binary of this platform, else the one built in this checkout. The result is
 * kept; a failure is not, so that building and trying again works in one process.
 */
import { existsSync } from 'node:fs'
import { createRequire } from 'node:module'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { SkeinError } from '../../errors.js'
import { ADDON_LAYOUT, type Addon } from './addon.js'

/** The package root is three levels up from here, in src/ as in dist/. */
const PACKAGE_ROOT = join(dirname(fileURLToPath(import.meta.url)), '../../..')
const requireBinary = createRequire(import.meta.url)

let loaded: Addon | undefined

/** The addon. Throws `ERR_SKEIN_ADDON_LOAD`, saying what was looked for and what to run; nothing is changed then. */
export function loadAddon(): Addon {
  loaded ??= findAddon()
  return loaded
}

/** Whether `loadAddon` would succeed. */
export function nativeAvailable(): boolean {
  try {
    loadAddon()
    return true
  } catch {
    return false
  }
}

function findAddon(): Addon {
  const platform = platformName()
  const tried: string[] = []
  let cause: unknown
  for (const path of [`prebuilds/${platform}/skein.node`, 'build/Release/skein.node']) {
    const binary = join(PACKAGE_ROOT, path)
    if (!existsSync(binary)) {
      tried.push(`${path} (not there)`)
      continue
    }
    try {
      const addon = requireBinary(binary) as Partial<Addon>
      if (addon.layout === ADDON_LAYOUT) return addon as Addon
      tried.push(`${path} (of another version: layout ${addon.layout}, wanted ${ADDON_LAYOUT})`)
    } catch (error) {
      cause ??= error
      tried.push(`${path} (${error instanceof Error ? error.message : String(error)})`)
    }
  }
  throw new SkeinError(
    'ERR_SKEIN_ADDON_LOAD',
    `no native binary for ${platform} with Node ${process.version} in ${PACKAGE_ROOT}: tried ${tried.join(', ')}. ` +
      'Run `npm run build:native` there (it needs a C++20 compiler, make and python3)',
    cause === undefined ? {} : { cause },
  )
}

/** As in `scripts/native-paths.mjs`: glibc and musl binaries are not interchangeable. */
function platformName(): string {
  const { platform, arch, report } = process
  if (platform !== 'linux') return `${platform}-${arch}`
  // Without this the report looks every local address up in the DNS.
  const former = Reflect.get(report, 'excludeNetwork')
  Reflect.set(report, 'excludeNetwork', true)
  const { header } = report.getReport() as { header: { glibcVersionRuntime?: string } }
  Reflect.set(report, 'excludeNetwork', former)
  return `${platform}${header.glibcVersionRuntime === undefined ? 'musl' : ''}-${arch}`
}
