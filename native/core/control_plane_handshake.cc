// Hello, helloAck, ready; refusals; and how one socket of a pair prevails.
#include <algorithm>

#include "control_plane.h"
#include "limits.h"

namespace skein::core {
namespace {

bool VersionsOverlap(const Hello& hello) {
  return hello.version_min <= limits::kProtocolVersionMax && hello.version_max >= limits::kProtocolVersionMin;
}

PeerIdentity IdentityOf(Hello&& hello) {
  return {hello.uid, std::move(hello.node_id), std::move(hello.advertised), std::move(hello.bind)};
}

// What a refusal is called when it closes a connection because of its hello; empty when nothing was wrong
// with it.
std::optional<BadInputReason> BadInputOf(RefusalReason reason) {
  switch (reason) {
    case RefusalReason::kMalformed:
      return BadInputReason::kBadHello;
    case RefusalReason::kVersionUnsupported:
      return BadInputReason::kVersionUnsupported;
    case RefusalReason::kClusterMismatch:
      return BadInputReason::kClusterMismatch;
    case RefusalReason::kSameUid:
      return BadInputReason::kSameUid;
    case RefusalReason::kQuarantined:
      return BadInputReason::kQuarantined;
    case RefusalReason::kUnauthenticated:
      return BadInputReason::kUnauthenticated;
    case RefusalReason::kNone:
    case RefusalReason::kSuperseded:
    case RefusalReason::kBusy:
    case RefusalReason::kShuttingDown:
      return std::nullopt;
  }
  return std::nullopt;
}

RefusalReason KnownRefusalReason(RefusalReason code) {
  const bool known = code >= RefusalReason::kClusterMismatch && code <= RefusalReason::kUnauthenticated;
  return known ? code : RefusalReason::kBusy;
}

QuarantineReason KnownQuarantineReason(uint16_t code) {
  const bool known = code >= static_cast<uint16_t>(QuarantineReason::kRemovedAfterDown) &&
                     code <= static_cast<uint16_t>(QuarantineReason::kOperator);
  return known ? static_cast<QuarantineReason>(code) : QuarantineReason::kOperator;
}

}  // namespace

// Those in drain count too, until they are gone: a flood of bad hellos holds no more sockets than one of slow
// ones.
ConnectionId ControlPlane::OnAccepted(const std::string& remote, uint64_t now_us) {
  Collect();
  counters_->Add(Counter::kAccepts);
  if (closing_) return 0;
  if (pending_accepts_ >= limits::kPendingHandshakesMax) {
    counters_->Add(BadInputReason::kTooManyConnections);
    Event event{.type = EventType::kBadInput};
    event.reason = static_cast<uint8_t>(BadInputReason::kTooManyConnections);
    event.text = remote;
    Emit(event);
    return 0;
  }
  auto connection = std::make_unique<Connection>();
  const ConnectionId id = next_connection_id_++;
  connection->id = id;
  connection->phase = Phase::kAwaitHello;
  connection->remote = remote;
  connection->counts_as_pending = true;
  ++pending_accepts_;
  connections_[id] = std::move(connection);
  const uint64_t timeout_us = uint64_t{limits::kHandshakeTimeoutMs} * 1000;
  deadlines_.Set({DeadlineKind::kConnection, id}, now_us + timeout_us);
  return id;
}

void ControlPlane::WriteHello(Connection& connection, FrameKind kind, const Endpoint& dialed) {
  Hello hello;
  hello.version_min = limits::kProtocolVersionMin;
  hello.version_max = limits::kProtocolVersionMax;
  hello.uid = options_.uid;
  hello.dial = connection.rank.dial;
  hello.cluster = options_.cluster;
  hello.node_id = options_.node_id;
  hello.bind = options_.bind;
  hello.advertised = options_.advertised;
  hello.dialed = dialed;
  const std::vector<uint8_t> body = EncodeHelloBody(hello);
  WriteFrame(connection, EncodeHead(kind, 0, 0, body), body);
}

std::optional<RefusalReason> ControlPlane::WhyRefuse(const Hello& hello) {
  if (!VersionsOverlap(hello)) return RefusalReason::kVersionUnsupported;
  if (hello.cluster != options_.cluster) return RefusalReason::kClusterMismatch;
  if (hello.uid == options_.uid) return RefusalReason::kSameUid;
  if (quarantined_.contains(hello.uid)) return RefusalReason::kQuarantined;
  // A new link would feed the inbox. The dialler backs off and tries again.
  if (effects_->InboxFull()) return RefusalReason::kBusy;
  const Pair* pair = FindPair(hello.uid);
  const Connection* link = pair == nullptr ? nullptr : LinkOf(*pair);
  // A dial in flight loses to a completed handshake only, and only from below.
  if (link != nullptr && LinkRank{hello.dial, hello.uid} <= link->rank) return RefusalReason::kSuperseded;
  return std::nullopt;
}

void ControlPlane::OnHello(Connection& connection, const FrameView& frame, uint64_t now_us) {
  std::optional<Hello> hello = DecodeHelloBody(frame.Body());
  if (!hello.has_value()) {
    Refuse(connection, RefusalReason::kMalformed, 0, now_us);
    return;
  }
  const std::optional<RefusalReason> refusal = WhyRefuse(*hello);
  if (refusal.has_value()) {
    Refuse(connection, *refusal, hello->uid, now_us);
    return;
  }
  connection.rank = {hello->dial, hello->uid};
  const Endpoint dialed = hello->dialed;
  connection.peer = IdentityOf(std::move(*hello));
  connection.phase = Phase::kAwaitReady;
  // Remembered only of incarnations that are known: a hello alone must not cost memory.
  if (Pair* pair = FindPair(connection.peer.uid)) {
    pair->dial_highest = std::max(pair->dial_highest, connection.rank.dial);
  }
  WriteHello(connection, FrameKind::kHelloAck, dialed);
}

void ControlPlane::Refuse(Connection& connection, RefusalReason reason, Uid peer_uid, uint64_t now_us) {
  RefusalBody body{};
  body.uid = options_.uid;
  body.reason = reason;
  body.version_min = limits::kProtocolVersionMin;
  body.version_max = limits::kProtocolVersionMax;
  if (reason == RefusalReason::kQuarantined) body.detail = static_cast<uint16_t>(quarantined_[peer_uid]);
  if (reason == RefusalReason::kSuperseded) {
    const Pair* pair = FindPair(peer_uid);
    const Connection* link = LinkOf(*pair);
    // With this the dialler's next attempt is above both.
    body.dial = std::max(pair->dial_highest, link->rank.dial);
  }
  counters_->Add(Counter::kRefusedOut);
  WriteStruct(connection, FrameKind::kRefusal, 0, 0, body);
  const std::optional<BadInputReason> bad = BadInputOf(reason);
  if (bad.has_value()) {
    BadInput(connection, *bad, now_us);
  } else {
    CloseConnection(connection, Draining::kDrop, now_us);
  }
}

std::optional<BadInputReason> ControlPlane::WhyRejectAck(const Connection& connection, const Hello& hello) {
  // An answer to another hello than ours.
  if (hello.dial != connection.rank.dial) return BadInputReason::kBadHello;
  if (!VersionsOverlap(hello)) return BadInputReason::kVersionUnsupported;
  if (hello.cluster != options_.cluster) return BadInputReason::kClusterMismatch;
  if (hello.uid == options_.uid) return BadInputReason::kSameUid;
  return std::nullopt;
}

void ControlPlane::OnHelloAck(Connection& connection, const FrameView& frame, uint64_t now_us) {
  if (!HasHelloMagic(frame.Body())) return BadInput(connection, BadInputReason::kBadMagic, now_us);
  std::optional<Hello> hello = DecodeHelloBody(frame.Body());
  const std::optional<BadInputReason> bad =
      hello.has_value() ? WhyRejectAck(connection, *hello) : BadInputReason::kBadHello;
  if (bad.has_value()) return BadInput(connection, *bad, now_us);
  connection.peer = IdentityOf(std::move(*hello));
  const Uid uid = connection.peer.uid;
  Target* target = FindTarget(connection.target_id);
  if (target == nullptr) return CloseConnection(connection, Draining::kDrop, now_us);
  if (quarantined_.contains(uid)) {
    target->dial = 0;
    counters_->Add(Counter::kDialsFailed);
    // Alive, and none of our business any more; its probes are answered before its address is blocked.
    OnAnswer(*target, uid, now_us);
    BadInput(connection, BadInputReason::kQuarantined, now_us);
    RefusedForGood(*target, connection.expected, uid, now_us);
    return;
  }
  if (Pair* pair = FindPair(uid)) pair->dial_highest = std::max(pair->dial_highest, connection.rank.dial);
  if (connection.expected != 0 && connection.expected != uid) {
    OnOtherIncarnation(connection, *target, now_us);
  } else {
    OnExpectedAck(connection, *target, now_us);
  }
}

void ControlPlane::OnOtherIncarnation(Connection& connection, Target& target, uint64_t now_us) {
  Event event{.type = EventType::kIdentityChanged};
  event.uid = connection.expected;
  event.address = &target.address;
  event.peer = &connection.peer;
  // Closed without `ready`: on the other side this link never existed.
  Emit(event);
  CloseConnection(connection, Draining::kDrop, now_us);
  OnAnswer(target, connection.peer.uid, now_us);
  DialFailed(connection, GatedReason::kHandshake, now_us);
}

void ControlPlane::OnExpectedAck(Connection& connection, Target& target, uint64_t now_us) {
  const Uid uid = connection.peer.uid;
  const bool probed = std::ranges::find(target.probes, uid, &PendingProbe::uid) != target.probes.end();
  OnAnswer(target, uid, now_us);
  target.dial = 0;
  const Pair* pair = FindPair(uid);
  const bool healthy = pair != nullptr && pair->link != 0 && !pair->Suspected();
  // A probe asks; it does not replace a link that works.
  // A dial that has lost to a higher link meanwhile closes without `ready` as well.
  if ((probed && healthy) || !WouldWin(connection)) {
    CloseConnection(connection, Draining::kDrop, now_us);
  } else {
    WriteFrame(connection, EncodeHead(FrameKind::kReady, 0, 0, {}), {});
    Complete(connection, now_us);
  }
  Reconsider(target, DialTime::kBackoff, now_us);
}

void ControlPlane::OnRefusal(Connection& connection, const FrameView& frame, uint64_t now_us) {
  RefusalBody body;
  if (!frame.Read(&body)) return BadInput(connection, BadInputReason::kFrameTooShort, now_us);
  counters_->Add(Counter::kRefusedIn);
  CloseConnection(connection, Draining::kDrop, now_us);
  Target* target = FindTarget(connection.target_id);
  if (target == nullptr || target->dial != connection.id) return;
  target->dial = 0;
  const RefusalReason reason = KnownRefusalReason(body.reason);
  if (reason != RefusalReason::kSuperseded) {
    Event event{.type = EventType::kRefused, .reason = static_cast<uint8_t>(reason)};
    event.uid = body.uid;
    event.address = &target->address;
    Emit(event);
  }
  // A refusal is an answer: its sender lives at this address, and nobody else does.
  if (body.uid != 0) OnAnswer(*target, body.uid, now_us);
  ActOnRefusal(*target, connection.expected, body, reason, now_us);
}

void ControlPlane::ActOnRefusal(Target& target, Uid expected, const RefusalBody& body, RefusalReason reason,
                                uint64_t now_us) {
  if (reason == RefusalReason::kSuperseded) return OnSuperseded(target, body, now_us);
  counters_->Add(Counter::kDialsFailed);
  const bool quarantined = reason == RefusalReason::kQuarantined;
  if (quarantined) EmitQuarantinedBy(body.uid, target.address, body.detail);
  if (quarantined || reason == RefusalReason::kSameUid) {
    RefusedForGood(target, expected, body.uid, now_us);
  } else {
    TargetFailed(target, GatedReason::kHandshake, now_us);
  }
}

// Whoever refuses does not speak for another incarnation that is expected at its address: that one may yet
// come.
void ControlPlane::RefusedForGood(Target& target, Uid expected, Uid by, uint64_t now_us) {
  if (expected == 0 || expected == by) {
    Block(target, by, now_us);
  } else {
    TargetFailed(target, GatedReason::kHandshake, now_us);
  }
}

// At once again with a higher number, unless a link serves by now or this goes on and on.
void ControlPlane::OnSuperseded(Target& target, const RefusalBody& body, uint64_t now_us) {
  target.dial_highest = std::max(target.dial_highest, body.dial);
  if (Pair* pair = FindPair(body.uid)) pair->dial_highest = std::max(pair->dial_highest, body.dial);
  if (++target.superseded_retries > limits::kSupersededRetriesMax && NeededAt(target).has_value()) {
    counters_->Add(Counter::kDialsFailed);
    TargetFailed(target, GatedReason::kHandshake, now_us);
  } else {
    Reconsider(target, DialTime::kNow, now_us);
  }
}

void ControlPlane::OnReady(Connection& connection, uint64_t now_us) {
  connection.counts_as_pending = false;
  --pending_accepts_;
  Complete(connection, now_us);
}

// Whether this connection would take the place of its pair's present link.
bool ControlPlane::WouldWin(const Connection& connection) {
  const Pair* pair = FindPair(connection.peer.uid);
  const Connection* link = pair == nullptr ? nullptr : LinkOf(*pair);
  return link == nullptr || connection.rank > link->rank;
}

// The handshake is done on our side. The pair keeps the highest complete link.
void ControlPlane::Complete(Connection& connection, uint64_t now_us) {
  connection.phase = Phase::kComplete;
  deadlines_.Clear({DeadlineKind::kConnection, connection.id});
  // From here on the pair is remembered: both sides have shown that they speak.
  counters_->Add(Counter::kHandshakesCompleted);
  Pair& pair = EnsurePair(connection.peer.uid);
  pair.dial_highest = std::max(pair.dial_highest, connection.rank.dial);
  Connection* former = LinkOf(pair);
  if (former != nullptr) counters_->Add(Counter::kSuperseded);
  if (!WouldWin(connection)) {
    // It never was a session here, so what comes on it could overtake; its sender sees a new session.
    SayGoodbye(connection, GoodbyeReason::kSuperseded);
    CloseConnection(connection, Draining::kDrop, now_us);
    // The link may have been held for this very handshake.
    ReleaseHeldLink(pair.uid, now_us);
    return;
  }
  BecomeLink(connection, pair, now_us);
  if (former != nullptr) {
    // After linkUp: what the former link still delivers carries its own, older session.
    SayGoodbye(*former, GoodbyeReason::kSuperseded);
    CloseConnection(*former, Draining::kDeliver, now_us);
  }
}

void ControlPlane::BecomeLink(Connection& connection, Pair& pair, uint64_t now_us) {
  const auto former_address = linked_at_.find(pair.peer.address);
  if (former_address != linked_at_.end() && former_address->second == pair.uid)
    linked_at_.erase(former_address);
  pair.link = connection.id;
  // As of this hello: an incarnation may advertise another address after it has moved.
  pair.peer = connection.peer;
  pair.dial_beside = false;
  pair.gone_raised = false;
  connection.session = ++pair.session;
  linked_at_[pair.peer.address] = pair.uid;
  counters_->Add(Counter::kLinksUp);
  EmitLinkUp(connection);
  for (const uint64_t id : TargetsOf(pair)) {
    Target* target = FindTarget(id);
    // Whatever wants this incarnation is content, whichever side has dialled.
    target->attempts = 0;
    target->superseded_retries = 0;
    target->first_refused_us = 0;
    target->backoff.Reset();
    AbandonDial(*target, false, now_us);
    Reconsider(*target, DialTime::kBackoff, now_us);
  }
  if (!pair.watched) return;
  // On every new session: the peer forgot the request with the socket it came on.
  AskForBeats(pair);
  if (!pair.detector.has_value()) StartDetector(pair, now_us);
}

void ControlPlane::EmitLinkUp(const Connection& connection) {
  Event event{.type = EventType::kLinkUp};
  event.uid = connection.peer.uid;
  event.session = connection.session;
  event.connection = connection.id;
  event.peer = &connection.peer;
  Emit(event);
}

void ControlPlane::EmitQuarantinedBy(Uid uid, const Endpoint& address, uint16_t reason) {
  Event event{.type = EventType::kQuarantinedBy};
  event.reason = static_cast<uint8_t>(KnownQuarantineReason(reason));
  event.uid = uid;
  event.address = &address;
  Emit(event);
}

void ControlPlane::OnQuarantined(Connection& connection, const FrameView& frame, uint64_t now_us) {
  QuarantineBody body;
  if (!frame.Read(&body)) return BadInput(connection, BadInputReason::kFrameTooShort, now_us);
  if (body.uid != options_.uid) return BadInput(connection, BadInputReason::kUnexpectedFrame, now_us);
  const Uid uid = connection.peer.uid;
  EmitQuarantinedBy(uid, connection.peer.address, static_cast<uint16_t>(body.reason));
  // Blocked before the loss of the link could dial it.
  for (const auto& [id, target] : targets_) {
    const bool watched_here = std::ranges::find(target->watches, uid) != target->watches.end();
    const bool here = target->answered_by == uid || target->address == connection.peer.address ||
                      target->connect_uid == uid || watched_here;
    const bool somebody_else = target->connect_uid != 0 && target->connect_uid != uid;
    if (here && !somebody_else) Block(*target, uid, now_us);
  }
  CloseForPeer(connection, LinkDownReason::kQuarantined, DialTime::kBackoff, now_us);
}

}  // namespace skein::core
