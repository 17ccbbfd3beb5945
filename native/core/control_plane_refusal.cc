// Refusals and quarantine, as we say them and as we hear them.
#include <algorithm>

#include "control_plane.h"
#include "limits.h"

namespace skein::core {
namespace {

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

void ControlPlane::OnRefusal(Connection& connection, const FrameView& frame, uint64_t now_us) {
  RefusalBody body;
  if (!frame.Read(&body)) return BadInput(connection, BadInputReason::kFrameTooShort, now_us);
  counters_->Add(Counter::kRefusedIn);
  CloseConnection(connection, Draining::kDrop, now_us);
  if (connection.lane != Lane::kControl) return LaneDialFailed(connection, GatedReason::kHandshake);
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
