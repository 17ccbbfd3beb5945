// Hello, helloAck, ready; and how one socket of a pair prevails.
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

Hello ControlPlane::OwnHello(const Connection& connection, const Endpoint& dialed) {
  Hello hello;
  hello.version_min = limits::kProtocolVersionMin;
  hello.version_max = limits::kProtocolVersionMax;
  hello.uid = options_.uid;
  hello.dial = connection.rank.dial;
  hello.lane = connection.lane;
  hello.cluster = options_.cluster;
  hello.node_id = options_.node_id;
  hello.bind = options_.bind;
  hello.advertised = options_.advertised;
  hello.dialed = dialed;
  if (WantsProofs()) AddNonce(&hello);
  return hello;
}

void ControlPlane::WriteHello(Connection& connection, const Endpoint& dialed) {
  connection.phase = Phase::kHelloSent;
  const std::vector<uint8_t> body = EncodeHelloBody(OwnHello(connection, dialed));
  WriteFrame(connection, EncodeHead(FrameKind::kHello, 0, 0, body), body);
  if (WantsProofs()) BeginAdmission(connection, body);
}

void ControlPlane::WriteHelloAck(Connection& connection, const Endpoint& dialed, Bytes hello_body) {
  connection.phase = Phase::kAwaitReady;
  std::vector<uint8_t> body = EncodeHelloBody(OwnHello(connection, dialed));
  if (WantsProofs()) AppendProofs(connection, hello_body, &body);
  WriteFrame(connection, EncodeHead(FrameKind::kHelloAck, 0, 0, body), body);
}

std::optional<RefusalReason> ControlPlane::WhyRefuse(const Hello& hello) {
  if (!VersionsOverlap(hello)) return RefusalReason::kVersionUnsupported;
  if (hello.cluster != options_.cluster) return RefusalReason::kClusterMismatch;
  if (hello.uid == options_.uid) return RefusalReason::kSameUid;
  if (WantsProofs() && !hello.nonce.has_value()) return RefusalReason::kUnauthenticated;
  if (quarantined_.contains(hello.uid)) return RefusalReason::kQuarantined;
  // A new link would feed the inbox. The dialler backs off and tries again.
  if (effects_->InboxFull()) return RefusalReason::kBusy;
  if (hello.lane != Lane::kControl) return std::nullopt;
  const Pair* pair = FindPair(hello.uid);
  const Connection* link = pair == nullptr ? nullptr : LinkOf(*pair);
  // A dial in flight loses to a completed handshake only, and only from below.
  const LinkRank rank{hello.dial, hello.uid};
  if (link != nullptr && !rank.Outranks(link->rank)) return RefusalReason::kSuperseded;
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
  // Nothing is remembered of a hello alone, its dial number included: anybody can write one.
  connection.rank = {hello->dial, hello->uid};
  connection.lane = hello->lane;
  const Endpoint dialed = hello->dialed;
  connection.peer = IdentityOf(std::move(*hello));
  WriteHelloAck(connection, dialed, frame.Body());
}

// `rest` is what follows the hello and its nonce in `body`.
std::optional<BadInputReason> ControlPlane::WhyRejectAck(Connection& connection, const Hello& hello,
                                                         Bytes body, Bytes rest) {
  // An answer to another hello than ours.
  if (hello.dial != connection.rank.dial || hello.lane != connection.lane) return BadInputReason::kBadHello;
  const std::optional<Bytes> proofs = hello.nonce.has_value() ? DecodeProofs(rest) : Bytes();
  if (WantsProofs() && !proofs.has_value()) return BadInputReason::kBadHello;
  if (!VersionsOverlap(hello)) return BadInputReason::kVersionUnsupported;
  if (hello.cluster != options_.cluster) return BadInputReason::kClusterMismatch;
  if (hello.uid == options_.uid) return BadInputReason::kSameUid;
  const Bytes signed_ack = body.first(body.size() - rest.size());
  const bool admitted = !WantsProofs() || AdmitAcceptor(connection, signed_ack, *proofs);
  return admitted ? std::nullopt : std::optional(BadInputReason::kUnauthenticated);
}

void ControlPlane::OnHelloAck(Connection& connection, const FrameView& frame, uint64_t now_us) {
  if (!HasHelloMagic(frame.Body())) return BadInput(connection, BadInputReason::kBadMagic, now_us);
  Bytes rest;
  std::optional<Hello> hello = DecodeHelloBody(frame.Body(), &rest);
  const std::optional<BadInputReason> bad =
      hello.has_value() ? WhyRejectAck(connection, *hello, frame.Body(), rest) : BadInputReason::kBadHello;
  if (bad.has_value()) return BadInput(connection, *bad, now_us);
  connection.peer = IdentityOf(std::move(*hello));
  if (connection.lane != Lane::kControl) return OnLaneAck(connection, now_us);
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
    WriteReady(connection);
    Complete(connection, now_us);
  }
  Reconsider(target, DialTime::kBackoff, now_us);
}

void ControlPlane::OnReady(Connection& connection, const FrameView& frame, uint64_t now_us) {
  if (WantsProofs() && !AdmitDialler(connection, frame.Body())) {
    return Refuse(connection, RefusalReason::kUnauthenticated, 0, now_us);
  }
  connection.counts_as_pending = false;
  --pending_accepts_;
  connection.lane == Lane::kControl ? Complete(connection, now_us) : HandOver(connection);
}

// Whether this connection would take the place of its pair's present link.
bool ControlPlane::WouldWin(const Connection& connection) {
  const Pair* pair = FindPair(connection.peer.uid);
  const Connection* link = pair == nullptr ? nullptr : LinkOf(*pair);
  return link == nullptr || connection.rank.Outranks(link->rank);
}

// The handshake is done on our side. The pair keeps the highest complete link.
void ControlPlane::Complete(Connection& connection, uint64_t now_us) {
  connection.phase = Phase::kComplete;
  connection.admission.reset();
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

}  // namespace skein::core
