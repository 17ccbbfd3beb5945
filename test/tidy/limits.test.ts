/** Both languages keep the same bounds. */
import { expect, test } from 'vitest'
import {
  CONTROL_LINK_LIMITS,
  PROTOCOL_VERSION_MAX,
  PROTOCOL_VERSION_MIN,
  TRANSPORT_LIMITS,
} from '../../src/transport/limits.js'
import { sourceFiles } from './tree.js'

/** `inline constexpr T kName = product of literals;` as name -> value. */
function nativeLimits(): ReadonlyMap<string, number> {
  const [header] = sourceFiles('native/core').filter(({ path }) => path.endsWith('/limits.h'))
  const constants = (header?.text ?? '').matchAll(/constexpr\s+\w+\s+k(\w+)\s*=\s*([\d'\s*]+);/g)
  return new Map(
    [...constants].map(([, name, value]) => [
      name as string,
      (value as string)
        .split('*')
        .reduce((product, factor) => product * Number(factor.replaceAll("'", '')), 1),
    ]),
  )
}

test('native/core/limits.h has every bound of src/transport/limits.ts, with the same value', () => {
  const shared = {
    ...TRANSPORT_LIMITS,
    ...CONTROL_LINK_LIMITS,
    protocolVersionMin: PROTOCOL_VERSION_MIN,
    protocolVersionMax: PROTOCOL_VERSION_MAX,
  }
  const native = nativeLimits()
  const found = Object.keys(shared).map((name) => {
    return [name, native.get(`${name.slice(0, 1).toUpperCase()}${name.slice(1)}`)]
  })
  expect(Object.fromEntries(found)).toEqual(shared)
})
