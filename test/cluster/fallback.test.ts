import { afterEach, describe, expect, it } from 'vitest'
import type { Cluster } from '../../src/cluster/cluster.js'
import { joinIn } from '../../src/cluster/join.js'
import { SkeinError } from '../../src/errors.js'
import { recordingLogger, waitFor } from './support.js'

const noBinary = {
  loadAddon: () => {
    throw new SkeinError('ERR_SKEIN_ADDON_LOAD', 'looked for prebuilds/none/skein.node: not found')
  },
}

let node: Cluster | undefined

afterEach(async () => {
  await node?.close()
  node = undefined
})

describe('without a native binary', () => {
  it('auto takes net, says so in the log and in an event that a listener added at once hears', async () => {
    const { lines, logger } = recordingLogger()
    node = await joinIn(noBinary, { name: 'orders', listen: '127.0.0.1:0', logger })
    const heard: object[] = []
    node.once('transportFallback', (event) => heard.push(event))
    await waitFor(() => heard.length === 1)
    const reason = 'looked for prebuilds/none/skein.node: not found'
    expect(heard).toEqual([{ type: 'transportFallback', from: 'native', to: 'net', reason }])
    expect(lines.some((line) => line.level === 'warn' && line.message.includes(reason))).toBe(true)
    expect(node.self.status).toBe('up')
  })

  it('native is refused with what was looked for and what to do; nothing is started', async () => {
    const joining = joinIn(noBinary, { name: 'orders', listen: '127.0.0.1:0', transport: 'native' })
    const error = await joining.catch((reason) => reason)
    expect(error).toMatchObject({ code: 'ERR_SKEIN_ADDON_LOAD' })
    expect(error.message).toMatch(/prebuilds\/none.*Nothing was started.*'net'/)
  })

  it('net does not look for one', async () => {
    node = await joinIn(noBinary, { name: 'orders', listen: '127.0.0.1:0', transport: 'net' })
    expect(node.counters()['events.transportFallback']).toBeUndefined()
  })
})
