import { existsSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { describe, expect, it } from 'vitest'
import { NATIVE_MISSING } from '../cluster/support.js'
import { runBinary } from './support.js'

const TESTS = fileURLToPath(new URL('../../build/Release/skein_native_test', import.meta.url))

/** A prebuilt binary comes without them. */
const NOT_BUILT = process.env['SKEIN_REQUIRE_NATIVE'] !== '1' && !existsSync(TESTS)

describe.skipIf(NATIVE_MISSING || NOT_BUILT)('the pure C++ core', () => {
  it('passes its own tests', async () => {
    const finished = await runBinary(TESTS, [], 120_000)
    expect(finished.stderr).toBe('')
    expect(finished.code).toBe(0)
    expect(finished.stdout).toMatch(/^[1-9]\d* passed, 0 failed\n$/)
  })
})
