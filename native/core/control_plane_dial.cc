// Dialling: which addresses need a dial, when the next one is due, and what its outcome says about the
// incarnations wanted there.
#include <algorithm>

#include "control_plane.h"
#include "limits.h"

namespace skein::core {
namespace {

constexpr uint64_t kSpacingUs = uint64_t{limits::kBackoffFloorMs} * 1000;

}  // namespace

bool ControlPlane::IsLinked(Uid uid) {
  const Pair* pair = FindPair(uid);
  return pair != nullptr && pair->link != 0;
}

// The incarnation to dial for at this address (0: whoever answers); empty when nothing is missing there.
std::optional<Uid> ControlPlane::NeededAt(const Target& target) {
  if (!target.probes.empty()) return target.probes.front().uid;
  if (target.blocked) return std::nullopt;
  const auto here = linked_at_.find(target.address);
  if (target.connect) {
    const bool anybody = target.connect_uid == 0;
    const bool linked =
        anybody ? here != linked_at_.end() || IsLinked(target.answered_by) : IsLinked(target.connect_uid);
    if (!linked) return target.connect_uid;
  }
  // The highest one watched; none below an incarnation that is linked from this address.
  Uid best = 0;
  for (const Uid uid : target.watches) {
    const Pair* pair = FindPair(uid);
    const bool outlived = here != linked_at_.end() && here->second > uid;
    if (pair != nullptr && pair->WantsDial() && !outlived) best = std::max(best, uid);
  }
  return best == 0 ? std::nullopt : std::optional(best);
}

void ControlPlane::Reconsider(Target& target, DialTime time, uint64_t now_us) {
  if (closing_ || target.dial != 0) return;
  const DeadlineKey key{DeadlineKind::kDial, target.id};
  if (!NeededAt(target).has_value()) {
    deadlines_.Clear(key);
    if (!target.Wanted()) idle_targets_.push_back(target.id);
    return;
  }
  // A dial that is planned already stands, whatever else has come to want it.
  if (time != DialTime::kNow && deadlines_.At(key) != kNever) return;
  const uint64_t delay_us = time == DialTime::kBackoff ? BackoffUs(target) : 0;
  PlanDial(target, now_us + delay_us);
}

// Two dials to one address never begin within the floor of the back-off of each other.
void ControlPlane::PlanDial(Target& target, uint64_t at_us) {
  const uint64_t spaced_us = target.last_dial_us == 0 ? 0 : target.last_dial_us + kSpacingUs;
  deadlines_.Set({DeadlineKind::kDial, target.id}, std::max(at_us, spaced_us));
}

void ControlPlane::StartDial(Target& target, uint64_t now_us) {
  // Asked again: the wish may have been fulfilled or withdrawn since the dial was planned.
  const std::optional<Uid> needed = NeededAt(target);
  if (closing_ || target.dial != 0 || !needed.has_value()) return;
  if (effects_->InboxFull()) {
    PlanDial(target, now_us + uint64_t{limits::kBusyRetryMs} * 1000);
    return;
  }
  Connection& connection = AddDial(target.address, *needed, now_us);
  connection.target_id = target.id;
  target.dial = connection.id;
  target.last_dial_us = now_us;
  for (PendingProbe& probe : target.probes) probe.dialed = true;
  counters_->Add(Counter::kDials);
}

Connection& ControlPlane::AddDial(const Endpoint& address, Uid expected, uint64_t now_us) {
  auto connection = std::make_unique<Connection>();
  const ConnectionId id = next_connection_id_++;
  connection->id = id;
  connection->phase = Phase::kConnecting;
  connection->dialled = true;
  connection->expected = expected;
  connection->remote = FormatEndpoint(address);
  const uint64_t timeout_us = uint64_t{options_.dial.connect_timeout_ms} * 1000;
  deadlines_.Set({DeadlineKind::kConnection, id}, now_us + timeout_us);
  effects_->Dial(id, address);
  return *(connections_[id] = std::move(connection));
}

// The dial number to announce to whoever this connection expects, or is likely to find.
uint32_t ControlPlane::NextDialNumber(const Connection& connection, const Target& target) {
  const Pair* pair = FindPair(connection.expected != 0 ? connection.expected : target.answered_by);
  const auto here = linked_at_.find(target.address);
  if (pair == nullptr && here != linked_at_.end()) pair = FindPair(here->second);
  const uint32_t known = pair == nullptr ? 0 : pair->dial_highest;
  const uint32_t highest = std::max(known, target.dial_highest);
  return highest == UINT32_MAX ? highest : highest + 1;
}

void ControlPlane::OnConnected(ConnectionId id, uint64_t /*now_us*/) {
  Collect();
  Connection* connection = FindConnection(id);
  if (connection == nullptr || connection->phase != Phase::kConnecting) return;
  if (connection->lane != Lane::kControl) return WriteHello(*connection, *connection->lane_address);
  const Target* target = FindTarget(connection->target_id);
  if (target == nullptr) {
    DestroyConnection(*connection);
    return;
  }
  connection->rank = {NextDialNumber(*connection, *target), options_.uid};
  // Used up even if this dial fails: the next one must be higher.
  if (Pair* pair = FindPair(connection->expected)) {
    pair->dial_highest = std::max(pair->dial_highest, connection->rank.dial);
  }
  WriteHello(*connection, target->address);
}

void ControlPlane::OnConnectFailed(ConnectionId id, GatedReason reason, uint64_t now_us) {
  Collect();
  Connection* connection = FindConnection(id);
  if (connection == nullptr) return;
  DialFailed(*connection, reason, now_us);
  DestroyConnection(*connection);
}

// The dial came to nothing; the connection itself is the caller's to close.
void ControlPlane::DialFailed(Connection& connection, GatedReason reason, uint64_t now_us) {
  if (connection.lane != Lane::kControl) return LaneDialFailed(connection, reason);
  Target* target = FindTarget(connection.target_id);
  if (target == nullptr || target->dial != connection.id) return;
  target->dial = 0;
  counters_->Add(Counter::kDialsFailed);
  TargetFailed(*target, reason, now_us);
}

void ControlPlane::TargetFailed(Target& target, GatedReason reason, uint64_t now_us) {
  if (closing_) return;
  ++target.attempts;
  bool confirm = false;
  if (reason == GatedReason::kRefused) {
    confirm = OnRefusedConnection(target, now_us);
  } else {
    // A timeout says nothing about the process: two refusals in a row are what counts.
    target.first_refused_us = 0;
    SettleProbes(target, ProbeOutcome::kUnknown);
  }
  const uint64_t confirm_us = uint64_t{std::max(options_.dial.confirm_gone_ms, 1u)} * 1000;
  // A question asked while this dial was under way has waited long enough.
  const bool asked_since = !target.probes.empty() && !target.probes.front().dialed;
  const uint64_t delay_us = asked_since ? 0 : confirm ? confirm_us : BackoffUs(target);
  if (!NeededAt(target).has_value()) {
    Reconsider(target, DialTime::kBackoff, now_us);
    return;
  }
  PlanDial(target, now_us + delay_us);
  Event event{.type = EventType::kGated, .reason = static_cast<uint8_t>(reason)};
  event.address = &target.address;
  event.attempts = target.attempts;
  event.ms = static_cast<double>(delay_us) / 1000;
  Emit(event);
}

// Nobody listens. True when a second refusal is still to confirm it.
bool ControlPlane::OnRefusedConnection(Target& target, uint64_t now_us) {
  const uint64_t confirm_us = uint64_t{options_.dial.confirm_gone_ms} * 1000;
  const auto is_confirmed = [&](uint64_t first_us) {
    return first_us != 0 && now_us - first_us >= confirm_us;
  };
  const bool confirmed = is_confirmed(target.first_refused_us);
  if (target.first_refused_us == 0) target.first_refused_us = now_us;
  bool owed = false;
  std::vector<PendingProbe> open;
  for (PendingProbe probe : target.probes) {
    // What a dial from before the question met is no answer to it.
    if (!probe.dialed) {
      open.push_back(probe);
      continue;
    }
    // Heard of before or not: the question was whether it answers here.
    if (is_confirmed(probe.first_refused_us)) {
      EmitProbed(probe.uid, ProbeOutcome::kGone);
      continue;
    }
    if (probe.first_refused_us == 0) probe.first_refused_us = now_us;
    open.push_back(probe);
    owed = true;
  }
  target.probes = std::move(open);
  for (const Uid uid : target.watches) {
    Pair* pair = FindPair(uid);
    // A peer of which nothing was ever heard may simply not have started.
    if (pair == nullptr || !pair->WantsDial() || !pair->Heard() || pair->gone_raised) continue;
    if (confirmed) {
      RaiseGone(*pair, now_us);
    } else {
      owed = true;
    }
  }
  return owed;
}

// Somebody answered at the address: `uid` lives there, and nobody else does.
void ControlPlane::OnAnswer(Target& target, Uid uid, uint64_t now_us) {
  target.answered_by = uid;
  target.first_refused_us = 0;
  for (const PendingProbe& probe : std::exchange(target.probes, {})) {
    EmitProbed(probe.uid, probe.uid == uid ? ProbeOutcome::kAlive : ProbeOutcome::kGone);
  }
  for (const Uid watched : target.watches) {
    Pair* pair = FindPair(watched);
    if (watched != uid && pair != nullptr && pair->WantsDial()) RaiseGone(*pair, now_us);
  }
}

// Those for which a dial was made.
void ControlPlane::SettleProbes(Target& target, ProbeOutcome outcome) {
  for (const PendingProbe& probe : std::exchange(target.probes, {})) {
    if (probe.dialed) {
      EmitProbed(probe.uid, outcome);
    } else {
      target.probes.push_back(probe);
    }
  }
}

void ControlPlane::EmitProbed(Uid uid, ProbeOutcome outcome) {
  Event event{.type = EventType::kProbed, .reason = static_cast<uint8_t>(outcome)};
  event.uid = uid;
  Emit(event);
}

uint64_t ControlPlane::BackoffUs(Target& target) {
  const bool watched = !target.watches.empty();
  const uint64_t cap_ms = watched ? options_.dial.backoff_watched_max_ms : options_.dial.backoff_max_ms;
  return target.backoff.NextUs(cap_ms * 1000, &random_);
}

void ControlPlane::Unblock(Target& target, Uid uid) {
  if (target.blocked && uid != 0 && uid != target.blocked_by) target.blocked = false;
}

// No dial any more: final refusals are lifted only by a wish for somebody else.
void ControlPlane::Block(Target& target, Uid uid, uint64_t now_us) {
  target.blocked = true;
  target.blocked_by = uid;
  SettleProbes(target, ProbeOutcome::kUnknown);
  // A question asked by name and since then is not held up by the refusal of another.
  Reconsider(target, target.probes.empty() ? DialTime::kBackoff : DialTime::kNow, now_us);
}

// Gives up a dial that nobody needs any more. One whose hello is written may only be given up because its
// wish was withdrawn, never in favour of another socket.
void ControlPlane::AbandonDial(Target& target, bool withdrawn, uint64_t now_us) {
  Connection* dial = FindConnection(target.dial);
  if (dial == nullptr || NeededAt(target).has_value()) return;
  if (dial->phase != Phase::kConnecting && !withdrawn) return;
  target.dial = 0;
  counters_->Add(Counter::kDialsAbandoned);
  dial->phase == Phase::kConnecting ? DestroyConnection(*dial)
                                    : CloseConnection(*dial, Draining::kDrop, now_us);
}

}  // namespace skein::core
