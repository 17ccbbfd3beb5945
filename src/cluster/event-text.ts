/**
 * One sentence for each event, with the level it is logged at. The same words serve the logger and the CLI, and
 * say what an operator can do where there is something to do.
 */
import { formatAddress, type UniqueAddress } from '../core/address.js'
import type { Blocker, ClusterEvent, JoinRefusal, QuarantineCause } from '../core/model.js'
import type { DeadLetter } from '../messaging/messaging.js'
import type { Logger } from '../options/types.js'
import type { ShellEvent } from './events.js'

export interface EventText {
  readonly level: keyof Logger
  readonly text: string
}

/** `nodeId (host:port)`, or the address alone where the nodeId is that. */
export function nodeText(node: UniqueAddress): string {
  const address = formatAddress(node.address)
  return node.nodeId === address ? address : `${node.nodeId} (${address})`
}

function nodesText(nodes: readonly UniqueAddress[]): string {
  return nodes.map(nodeText).join(', ')
}

/** Why, and the way out. */
const JOIN_REFUSALS: Record<JoinRefusal, string> = {
  duplicateNodeId: 'a living member has this nodeId; give each node its own',
  olderIncarnation: 'a newer incarnation of this node is or was a member; check the clock of its host',
  removedIncarnation: 'this incarnation was removed for good; restart the process to come back as a new one',
  uidCollision: 'another node drew the same uid; restart the process to draw another',
  addressInUse: 'a living member is reached at this address; advertise another one',
  clusterFull: 'the cluster is at its bound of members',
}

/** What a refused newcomer's operator can do. */
export function joinRefusalText(reason: JoinRefusal): string {
  return JOIN_REFUSALS[reason]
}

const QUARANTINE_CAUSES: Record<QuarantineCause, string> = {
  removedAfterDown: 'it was removed after having been down',
  reliableDeliveryFailed: 'reliable delivery to it failed',
  deathWatch: 'a death watch fired',
  operator: 'an operator said so',
}

/** True for the text of a refusal that the machine gave as a reason. */
export function isJoinRefusal(text: string): text is JoinRefusal {
  return Object.hasOwn(JOIN_REFUSALS, text)
}

/** Who stands in the way, and why; for messages about waiting. */
export function blockersText(blockers: readonly Blocker[]): string {
  return blockers.map((b) => `${nodeText(b)} is ${b.reason}`).join(', ')
}

/** Facts are in the event; this is what they mean. Retries are told once and then only for debugging. */
export function eventText(event: ShellEvent): EventText {
  switch (event.type) {
    case 'listening':
      return info(
        `listening as ${nodeText(event.self)}, uid ${event.self.uid}, over the ${event.transport} transport`,
      )
    case 'transportFallback':
      return warn(
        `the net transport serves instead of the native one, without stall reports: ${event.reason}`,
      )
    case 'gated': {
      const text = `${formatAddress(event.address)} is gated (${event.reason}, attempt ${event.attempts}); next dial in ${Math.round(event.retryInMs)} ms`
      return { level: event.attempts === 1 ? 'info' : 'debug', text }
    }
    case 'refused':
      return warn(`${formatAddress(event.address)} refused the connection: ${event.reason}`)
    case 'connectionRejected':
      return warn(`a connection from ${event.remote} was closed: ${event.reason}; nothing else changed`)
    case 'deadLetter':
      return { level: event.reason === 'closed' ? 'debug' : 'warn', text: deadLetterText(event) }
    case 'handlerFailed':
      return warn(
        `the handler of ${JSON.stringify(event.topic)} failed for ${nodeText(event.from)}: ${event.error}`,
      )
    case 'laneRejected':
      return warn(
        `the ${event.lane} lane of ${nodeText(event.peer)} was closed: ${event.reason}; it is opened again when it is needed`,
      )
    case 'closed':
      return info(`closed: ${event.reason}${event.detail === '' ? '' : `, ${event.detail}`}`)
    default:
      return clusterEventText(event)
  }
}

function deadLetterText(letter: DeadLetter): string {
  const { count, bytes, topic, peer, reason } = letter
  const what = count === 1 ? `a message (${JSON.stringify(topic)}, ${bytes} bytes)` : `${count} messages`
  if (reason === 'noHandler')
    return `${what} from ${nodeText(peer)} found no handler; register one before it joins`
  const maybe = letter.maybeDelivered ? '; it may have been delivered' : ''
  return `${what} to ${nodeText(peer)} was not delivered: ${reason}${maybe}`
}

function clusterEventText(event: ClusterEvent): EventText {
  switch (event.type) {
    case 'memberJoined':
      return info(`${nodeText(event.member)} is joining`)
    case 'memberWeaklyUp':
      return info(`${nodeText(event.member)} is weakly up: admitted while somebody is unreachable`)
    case 'memberUp':
      return info(`${nodeText(event.member)} is up`)
    case 'memberLeft':
      return info(`${nodeText(event.member)} is leaving`)
    case 'memberExited':
      return info(`${nodeText(event.member)} is exiting`)
    case 'memberDowned':
      return warn(
        `${nodeText(event.member)} is down (${event.reason}); it will be removed and cannot come back as uid ${event.member.uid}`,
      )
    case 'memberRemoved':
      return info(`${nodeText(event.member)} is removed (${event.cause})`)
    case 'leaderChanged':
      return info(
        event.leader === undefined ? 'there is no leader' : `${nodeText(event.leader)} is the leader`,
      )
    case 'convergenceReached':
      return { level: 'debug', text: 'the view has converged' }
    case 'convergenceBlocked':
      return info(`convergence waits: ${blockersText(event.by)}`)
    case 'joinRejected':
      return warn(
        `${nodeText(event.node)} was not let in (${event.reason}): ${joinRefusalText(event.reason)}`,
      )
    case 'messageDropped':
      return {
        level: 'debug',
        text: `a message from ${event.from} was dropped (${event.reason}); nothing changed`,
      }
    default:
      return healthText(event)
  }
}

type HealthEvent = Extract<
  ClusterEvent,
  {
    readonly type:
      | 'unreachable'
      | 'reachable'
      | 'stalled'
      | 'recovered'
      | 'linkDegraded'
      | 'linkRestored'
      | 'downingDecision'
      | 'quarantined'
      | 'thisNodeQuarantined'
      | 'selfPaused'
  }
>

/** Reachability never sounds like membership: an unreachable member is said to be one. */
function healthText(event: HealthEvent): EventText {
  switch (event.type) {
    case 'unreachable':
      return warn(`unreachable, and still members: ${nodesText(event.members)}`)
    case 'reachable':
      return info(`reachable again: ${nodesText(event.members)}`)
    case 'stalled':
      return warn(
        `stalled, the process answers and its JavaScript loop does not turn: ${nodesText(event.members)}`,
      )
    case 'recovered':
      return info(`no longer stalled: ${nodesText(event.members)}`)
    case 'linkDegraded':
      return warn(
        `the link ${nodeText(event.observer)} -> ${nodeText(event.subject)} is bad; both are reachable through others`,
      )
    case 'linkRestored':
      return info(`the link ${nodeText(event.observer)} -> ${nodeText(event.subject)} is good again`)
    case 'downingDecision':
      return warn(
        `${event.strategy} decides ${event.decision}: ${event.down.length === 0 ? 'nobody' : nodesText(event.down)}`,
      )
    case 'quarantined':
      return warn(
        `${nodeText(event.node)} is quarantined as uid ${event.node.uid}: ${QUARANTINE_CAUSES[event.node.reason]}. ` +
          'Its process must restart to come back as a new incarnation',
      )
    case 'thisNodeQuarantined':
      return {
        level: 'error',
        text: `${nodeText(event.by)} has quarantined this node: ${QUARANTINE_CAUSES[event.reason]}. Restart this process to come back as a new incarnation`,
      }
    case 'selfPaused':
      return warn(
        `this process was not scheduled for ${Math.round(event.gapMs)} ms; no peer was charged for it`,
      )
  }
}

function info(text: string): EventText {
  return { level: 'info', text }
}

function warn(text: string): EventText {
  return { level: 'warn', text }
}
