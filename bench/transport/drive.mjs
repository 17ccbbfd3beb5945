// How a client is driven. Every JavaScript peer is driven by these same loops, so that they cost all alike.
import { createHistogram } from 'node:perf_hooks'

/** Bytes a one-way sender hands over before it ends its turn. */
const BURST_BYTES = 256 * 1024
const BURST_MESSAGES_MAX = 1000

const nowMs = () => performance.now()
const nextTurn = () => new Promise((resolve) => setImmediate(resolve))

/** One request in flight. */
export async function roundTrips(client, payload, seconds) {
  const histogram = createHistogram({ figures: 3 })
  const started = nowMs()
  const end = started + seconds * 1000
  let messages = 0
  for (let before = started; before < end; before = nowMs()) {
    checkAnswer(await client.request(payload), payload)
    histogram.record(Math.max(1, Math.round((nowMs() - before) * 1e6)))
    messages += 1
  }
  return {
    messages,
    seconds: (nowMs() - started) / 1000,
    p50Us: histogram.percentile(50) / 1000,
    p99Us: histogram.percentile(99) / 1000,
    p999Us: histogram.percentile(99.9) / 1000,
  }
}

/** `inFlight` requests at any time, each an await of its own. */
export async function window(client, payload, seconds, inFlight) {
  let messages = 0
  let stoppedAt = 0
  const started = nowMs()
  const timer = setTimeout(() => {
    stoppedAt = nowMs()
  }, seconds * 1000)
  const one = async () => {
    while (stoppedAt === 0) {
      checkAnswer(await client.request(payload), payload)
      if (stoppedAt === 0) messages += 1
    }
  }
  try {
    await Promise.all(Array.from({ length: inFlight }, one))
  } finally {
    clearTimeout(timer)
  }
  return { messages, seconds: (stoppedAt - started) / 1000 }
}

/** Fire and forget; the clock stops when the receiver has counted the last one. */
export async function oneWay(client, payload, seconds) {
  const burst = Math.max(1, Math.min(BURST_MESSAGES_MAX, Math.floor(BURST_BYTES / payload.length)))
  const before = await receiverCount(client)
  const started = nowMs()
  const end = started + seconds * 1000
  let sent = 0
  while (nowMs() < end) {
    let room = true
    for (let i = 0; i < burst && room; i += 1) {
      room = client.send(payload)
      sent += 1
    }
    await (room ? nextTurn() : client.drain())
  }
  const deadline = nowMs() + 20_000
  let counted = (await receiverCount(client)) - before
  while (counted < sent && nowMs() < deadline) {
    await nextTurn()
    counted = (await receiverCount(client)) - before
  }
  if (counted !== sent) throw new Error(`${sent} messages were sent, the receiver counted ${counted}`)
  return { messages: counted, seconds: (nowMs() - started) / 1000 }
}

/** What a one-way server has counted: it answers a request with it. */
async function receiverCount(client) {
  const bytes = await client.request(new Uint8Array(8))
  return Number(new DataView(bytes.buffer, bytes.byteOffset, bytes.length).getBigUint64(0, true))
}

function checkAnswer(answer, payload) {
  if (answer.length === payload.length) return
  throw new Error(`${payload.length} bytes were sent, ${answer.length} came back`)
}
