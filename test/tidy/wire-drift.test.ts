/** The committed accessors are what flatc makes of the schemas. */
import { spawnSync } from 'node:child_process'
import { expect, test } from 'vitest'
import { ROOT } from './tree.js'

const EXIT_FLATC_MISSING = 3

test('src/wire/generated is up to date', ({ skip }) => {
  const { status, stdout, stderr } = spawnSync(process.execPath, ['scripts/generate-wire.mjs', '--check'], {
    cwd: ROOT,
    encoding: 'utf8',
  })
  const required = process.env['CI'] === 'true' || process.env['SKEIN_CI'] === '1'
  skip(
    status === EXIT_FLATC_MISSING && !required,
    'flatc is not installed: apt-get install flatbuffers-compiler',
  )
  expect(status, `${stdout}${stderr}`).toBe(0)
})
