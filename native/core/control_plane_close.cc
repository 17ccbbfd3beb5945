// The end of connections and of links. A socket of ours is shut down, drained, closed: a reset from us would
// be mistaken for a death.
#include "control_plane.h"
#include "limits.h"

namespace skein::core {

// Our side ends once what is queued is written; the peer's side is read to its end, within a bound.
void ControlPlane::CloseConnection(Connection& connection, Draining draining, uint64_t now_us) {
  if (connection.phase == Phase::kClosing) return;
  connection.phase = Phase::kClosing;
  // What a dialler sends behind its `ready` on a lane are frames of another kind.
  connection.draining = connection.lane == Lane::kControl ? draining : Draining::kUnreadable;
  connection.beat_interval_ms = 0;
  deadlines_.Clear({DeadlineKind::kBeat, connection.id});
  effects_->Shutdown(connection.id);
  const uint64_t drain_us = uint64_t{limits::kDrainTimeoutMs} * 1000;
  deadlines_.Set({DeadlineKind::kConnection, connection.id}, now_us + drain_us);
}

// The object lives on until the next input: callers up the stack may still look at it.
void ControlPlane::DestroyConnection(Connection& connection) {
  const ConnectionId id = connection.id;
  deadlines_.Clear({DeadlineKind::kConnection, id});
  deadlines_.Clear({DeadlineKind::kBeat, id});
  if (connection.counts_as_pending) --pending_accepts_;
  effects_->Destroy(id);
  auto node = connections_.extract(id);
  if (!node.empty()) destroyed_.push_back(std::move(node.mapped()));
}

void ControlPlane::SayGoodbye(Connection& connection, GoodbyeReason reason) {
  WriteStruct(connection, FrameKind::kGoodbye, 0, 0, GoodbyeBody{reason});
}

// Null for a connection that never was the link, or is not any more.
Pair* ControlPlane::PairLinkedBy(const Connection& connection) {
  Pair* pair = FindPair(connection.peer.uid);
  return pair != nullptr && pair->link == connection.id ? pair : nullptr;
}

void ControlPlane::LoseLink(Connection& connection, LinkDownReason reason, DialTime dial, uint64_t now_us) {
  Pair* pair = PairLinkedBy(connection);
  if (pair == nullptr) return;
  pair->link = 0;
  pair->dial_beside = false;
  pair->unwanted = false;
  const auto advertised = linked_at_.find(pair->peer.address);
  // Unless a later incarnation advertises the same address by now.
  if (advertised != linked_at_.end() && advertised->second == pair->uid) linked_at_.erase(advertised);
  counters_->Add(Counter::kLinksDown);
  Event event{.type = EventType::kLinkDown, .reason = static_cast<uint8_t>(reason)};
  event.uid = pair->uid;
  event.session = connection.session;
  Emit(event);
  // A refusal from before this loss says nothing about it: `gone` takes two new ones.
  for (const uint64_t id : TargetsOf(*pair)) {
    Target* target = FindTarget(id);
    target->first_refused_us = 0;
    Reconsider(*target, dial, now_us);
  }
}

// Ends a connection for what its peer did or said, whatever it was: a link, a dial of ours, a handshake of
// theirs.
void ControlPlane::CloseForPeer(Connection& connection, LinkDownReason reason, DialTime dial,
                                uint64_t now_us) {
  const Uid uid = connection.peer.uid;
  const bool awaited_ready = connection.phase == Phase::kAwaitReady;
  const bool dialling = connection.dialled && connection.phase != Phase::kComplete;
  LoseLink(connection, reason, dial, now_us);
  CloseConnection(connection, Draining::kDrop, now_us);
  if (dialling) DialFailed(connection, GatedReason::kHandshake, now_us);
  if (awaited_ready) ReleaseHeldLink(uid, now_us);
}

void ControlPlane::BadInput(Connection& connection, BadInputReason reason, uint64_t now_us) {
  // What a connection sends that is being closed anyway changes nothing.
  const bool over = connection.phase == Phase::kClosing && connection.draining != Draining::kDeliver;
  connection.draining = Draining::kUnreadable;
  if (over) return;
  counters_->Add(reason);
  Event event{.type = EventType::kBadInput, .reason = static_cast<uint8_t>(reason)};
  event.text = connection.remote;
  Emit(event);
  // A torn frame is what a crash leaves: the kernel's word that the peer may be gone, so it is dialled at
  // once. Anything else will be sent wrongly again.
  const bool torn = reason == BadInputReason::kTruncatedFrame;
  CloseForPeer(connection, LinkDownReason::kBadInput, torn ? DialTime::kNow : DialTime::kBackoff, now_us);
  connection.draining = Draining::kUnreadable;
}

bool ControlPlane::AwaitsReadyFrom(Uid uid) const {
  for (const auto& [id, connection] : connections_) {
    const bool successor = connection->phase == Phase::kAwaitReady && connection->lane == Lane::kControl;
    if (successor && connection->peer.uid == uid) return true;
  }
  return false;
}

// A link that ended with goodbye(superseded) was held for the `ready` of its successor, which will not come
// now.
void ControlPlane::ReleaseHeldLink(Uid uid, uint64_t now_us) {
  const Pair* pair = FindPair(uid);
  Connection* link = pair == nullptr ? nullptr : LinkOf(*pair);
  if (link == nullptr || !link->held || AwaitsReadyFrom(uid)) return;
  LoseLink(*link, LinkDownReason::kSuperseded, DialTime::kNow, now_us);
  DestroyConnection(*link);
}

// After a `disconnect` that had to leave the link to a watch: closed once neither end watches the other.
void ControlPlane::CloseIfUnwanted(Pair& pair, uint64_t now_us) {
  Connection* link = LinkOf(pair);
  if (link == nullptr || !pair.unwanted || pair.watched || link->beat_interval_ms != 0) return;
  SayGoodbye(*link, GoodbyeReason::kUnwanted);
  LoseLink(*link, LinkDownReason::kDisconnected, DialTime::kBackoff, now_us);
  CloseConnection(*link, Draining::kDrop, now_us);
}

void ControlPlane::OnEnd(ConnectionId id, EndKind kind, uint64_t now_us) {
  Collect();
  Connection* connection = FindConnection(id);
  if (connection == nullptr) return;
  const Phase phase = connection->phase;
  // Both sides have ended: this is what the drain waited for.
  if (phase == Phase::kClosing) {
    DestroyConnection(*connection);
    return;
  }
  if (kind == EndKind::kEof && connection->reader.HasPartial()) {
    BadInput(*connection, BadInputReason::kTruncatedFrame, now_us);
    DestroyConnection(*connection);
    return;
  }
  if (kind == EndKind::kEof && phase == Phase::kComplete && connection->peer_superseded) {
    // Still the pair's link, for sending, until its successor completes.
    connection->held = true;
    const uint64_t drain_us = uint64_t{limits::kDrainTimeoutMs} * 1000;
    deadlines_.Set({DeadlineKind::kConnection, id}, now_us + drain_us);
    ReleaseHeldLink(connection->peer.uid, now_us);
    return;
  }
  LinkDownReason reason = LinkDownReason::kIoError;
  if (kind == EndKind::kEof) reason = LinkDownReason::kClosedByPeer;
  if (kind == EndKind::kReset) reason = LinkDownReason::kResetByPeer;
  if (connection->peer_superseded) reason = LinkDownReason::kSuperseded;
  CloseForPeer(*connection, reason, DialTime::kNow, now_us);
  DestroyConnection(*connection);
}

void ControlPlane::OnConnectionDeadline(Connection& connection, uint64_t now_us) {
  switch (connection.phase) {
    // Nothing was sent yet, so nothing can be reset by closing at once.
    case Phase::kConnecting:
      DialFailed(connection, GatedReason::kTimeout, now_us);
      DestroyConnection(connection);
      return;
    // A stopped process never ends its side: what is closed politely would linger in the kernel for a minute, and
    // every further dial would add to it.
    case Phase::kHelloSent:
      DialFailed(connection, GatedReason::kTimeout, now_us);
      effects_->Reset(connection.id);
      DestroyConnection(connection);
      return;
    case Phase::kAwaitHello:
    case Phase::kAwaitReady:
      BadInput(connection, BadInputReason::kHandshakeTimeout, now_us);
      return;
    // Held for a successor that never completed.
    case Phase::kComplete:
      LoseLink(connection, LinkDownReason::kSuperseded, DialTime::kNow, now_us);
      DestroyConnection(connection);
      return;
    case Phase::kClosing:
      DestroyConnection(connection);
      return;
  }
}

void ControlPlane::OnDeadline(uint64_t now_us) {
  Collect();
  // Bounded: whatever fires may plan a new deadline, but none that is due already.
  for (std::optional<DeadlineKey> key; (key = deadlines_.PopDue(now_us)).has_value();) Fire(*key, now_us);
}

void ControlPlane::Fire(const DeadlineKey& key, uint64_t now_us) {
  switch (key.kind) {
    case DeadlineKind::kConnection:
      if (Connection* connection = FindConnection(key.id)) OnConnectionDeadline(*connection, now_us);
      return;
    case DeadlineKind::kDial:
      if (Target* target = FindTarget(key.id)) StartDial(*target, now_us);
      return;
    case DeadlineKind::kBeat:
      if (Connection* connection = FindConnection(key.id)) Beat(*connection, now_us);
      return;
    case DeadlineKind::kSilence:
      if (Pair* pair = FindPair(key.id)) CheckSilence(*pair, now_us);
      return;
    case DeadlineKind::kWatchStart:
      // No link has come up: from here on its silence counts, as if it had beaten just now.
      if (Pair* pair = FindPair(key.id); pair != nullptr && pair->watched) StartDetector(*pair, now_us);
      return;
  }
}

}  // namespace skein::core
