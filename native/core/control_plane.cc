// Commands of the layer above, lookup and bookkeeping. Every public entry begins with Collect().
#include "control_plane.h"

#include <algorithm>
#include <utility>

#include "limits.h"

namespace skein::core {

std::string FormatEndpoint(const Endpoint& endpoint) {
  const bool literal_v6 = endpoint.host.find(':') != std::string::npos;
  const std::string host = literal_v6 ? "[" + endpoint.host + "]" : endpoint.host;
  return host + ":" + std::to_string(endpoint.port);
}

ControlPlane::ControlPlane(ControlPlaneOptions options, Effects* effects, Counters* counters,
                           Authenticator* auth)
    : options_(std::move(options)),
      effects_(effects),
      counters_(counters),
      auth_(auth),
      random_(options_.random_seed) {}

void ControlPlane::Connect(const Endpoint& address, Uid uid, uint64_t now_us) {
  Collect();
  if (closing_ || quarantined_.contains(uid)) return;
  Target* target = EnsureTarget(address);
  if (target == nullptr) return;
  // Callers repeat themselves: a wish that says nothing new must not jump the back-off.
  const bool changed = !target->connect || target->connect_uid != uid;
  target->connect = true;
  target->connect_uid = uid;
  Unblock(*target, uid);
  // A wish withdrawn and made again before the link was closed: it stays.
  const auto linked = linked_at_.find(address);
  for (const Uid wanted : {uid, target->answered_by, linked == linked_at_.end() ? 0 : linked->second}) {
    if (Pair* pair = FindPair(wanted)) pair->unwanted = false;
  }
  Reconsider(*target, changed ? DialTime::kNow : DialTime::kUnlessPlanned, now_us);
}

void ControlPlane::Disconnect(const Endpoint& address, uint64_t now_us) {
  Collect();
  if (closing_) return;
  std::vector<Uid> linked;
  const auto advertised = linked_at_.find(address);
  // Whoever advertises the address, and whoever was reached through it under another name.
  if (advertised != linked_at_.end()) linked.push_back(advertised->second);
  if (Target* target = FindTarget(address)) {
    linked.push_back(target->answered_by);
    target->connect = false;
    target->connect_uid = 0;
    AbandonDial(*target, true, now_us);
    Reconsider(*target, DialTime::kBackoff, now_us);
  }
  for (const Uid uid : linked) {
    Pair* pair = FindPair(uid);
    if (pair == nullptr || pair->link == 0) continue;
    pair->unwanted = true;
    CloseIfUnwanted(*pair, now_us);
  }
}

void ControlPlane::Send(Uid uid, Bytes bytes, uint64_t /*now_us*/) {
  Collect();
  const Pair* pair = FindPair(uid);
  Connection* link = pair == nullptr ? nullptr : LinkOf(*pair);
  // The JavaScript thread was told `sent` from what was known then. The link has ended since, and its
  // linkDown tells the receiver of that promise so.
  if (link == nullptr || closing_) {
    counters_->Add(Counter::kMessagesLost);
    return;
  }
  const FrameHead head = EncodeHead(FrameKind::kMessage, 0, ++link->message_sequence, bytes);
  counters_->Add(Counter::kMessagesOut);
  WriteFrame(*link, head, bytes);
}

void ControlPlane::Watch(Uid uid, const Endpoint& address, uint64_t now_us) {
  Collect();
  if (closing_ || uid == 0 || uid == options_.uid || quarantined_.contains(uid)) return;
  Target* target = EnsureTarget(address);
  if (target == nullptr) return;
  Pair& pair = EnsurePair(uid);
  // A watch moves with its peer: nobody dials the former address for it any more.
  if (pair.watched && pair.watch_target_id != target->id) {
    if (Target* former = FindTarget(pair.watch_target_id)) {
      std::erase(former->watches, uid);
      Reconsider(*former, DialTime::kBackoff, now_us);
    }
  }
  pair.watch_target_id = target->id;
  pair.unwanted = false;
  if (std::ranges::find(target->watches, uid) == target->watches.end()) target->watches.push_back(uid);
  Unblock(*target, uid);
  if (!pair.watched) {
    pair.watched = true;
    // One that is still starting is not accused at once; one that never answers is, after the same grace.
    if (pair.link == 0) {
      pair.peer.uid = uid;
      pair.peer.address = address;
      const uint64_t grace_us = uint64_t{options_.heartbeat.acceptable_pause_ms} * 1000;
      deadlines_.Set({DeadlineKind::kWatchStart, uid}, now_us + grace_us);
    } else {
      AskForBeats(pair);
      StartDetector(pair, now_us);
    }
  }
  Reconsider(*target, DialTime::kUnlessPlanned, now_us);
}

void ControlPlane::Unwatch(Uid uid, uint64_t now_us) {
  Collect();
  Pair* pair = FindPair(uid);
  if (closing_ || pair == nullptr || !pair->watched) return;
  StopWatching(*pair, now_us);
}

void ControlPlane::Probe(Uid uid, const Endpoint& address, uint64_t now_us) {
  Collect();
  if (closing_) return;
  Target* target = EnsureTarget(address);
  // An address that refused us for good is not asked again about the incarnation that did.
  if (target != nullptr) Unblock(*target, uid);
  if (target == nullptr || target->blocked) {
    EmitProbed(uid, ProbeOutcome::kUnknown);
    return;
  }
  const auto asked = std::ranges::find(target->probes, uid, &PendingProbe::uid);
  if (asked == target->probes.end()) target->probes.push_back({.uid = uid});
  Reconsider(*target, DialTime::kNow, now_us);
}

void ControlPlane::Quarantine(Uid uid, QuarantineReason reason, uint64_t now_us) {
  Collect();
  if (closing_ || uid == 0 || uid == options_.uid) return;
  // The first reason stands: it is what the peer was told.
  if (quarantined_.try_emplace(uid, reason).second) quarantine_order_.push_back(uid);
  if (quarantine_order_.size() > limits::kQuarantinedMax) {
    quarantined_.erase(quarantine_order_.front());
    quarantine_order_.pop_front();
    counters_->Add(Counter::kQuarantinedForgotten);
  }
  if (Pair* pair = FindPair(uid)) {
    // The link ends below, with the reason; not here as one that nobody wants.
    pair->unwanted = false;
    if (pair->watched) StopWatching(*pair, now_us);
  }
  for (auto& [id, target] : targets_) {
    if (target->connect && target->connect_uid == uid) {
      target->connect = false;
      target->connect_uid = 0;
    }
    if (std::erase_if(target->probes, [uid](const PendingProbe& probe) { return probe.uid == uid; }) > 0) {
      EmitProbed(uid, ProbeOutcome::kUnknown);
    }
    AbandonDial(*target, true, now_us);
    Reconsider(*target, DialTime::kBackoff, now_us);
  }
  EndLaneHandshakes(uid, now_us);
  const QuarantineBody body{uid, quarantined_[uid], {}};
  for (auto& [id, connection] : connections_) {
    if (connection->peer.uid != uid) continue;
    // A replaced socket may still drain; nothing is delivered from it any more either.
    if (connection->phase == Phase::kClosing && connection->draining == Draining::kDeliver) {
      connection->draining = Draining::kDrop;
    }
    // Only a peer that has said hello is told; any other finds out when it says hello.
    if (connection->phase != Phase::kComplete && connection->phase != Phase::kAwaitReady) continue;
    WriteStruct(*connection, FrameKind::kQuarantined, 0, 0, body);
    LoseLink(*connection, LinkDownReason::kQuarantined, DialTime::kBackoff, now_us);
    CloseConnection(*connection, Draining::kDrop, now_us);
  }
}

void ControlPlane::Close(uint64_t now_us) {
  Collect();
  if (closing_) return;
  closing_ = true;
  // Closing destroys connections, so that the map cannot be walked meanwhile.
  std::vector<ConnectionId> ids;
  for (const auto& [id, connection] : connections_) ids.push_back(id);
  for (const ConnectionId id : ids) {
    Connection& connection = *FindConnection(id);
    switch (connection.phase) {
      case Phase::kConnecting:
        DestroyConnection(connection);
        break;
      // Told, not dropped: the dialler then knows that this is no fault of the network.
      case Phase::kAwaitHello:
        Refuse(connection, RefusalReason::kShuttingDown, 0, now_us);
        break;
      case Phase::kComplete:
        SayGoodbye(connection, GoodbyeReason::kShutdown);
        [[fallthrough]];
      case Phase::kHelloSent:
      case Phase::kAwaitReady:
      case Phase::kClosing:
        CloseConnection(connection, Draining::kDrop, now_us);
    }
  }
  // Only the drains are still timed.
  for (const auto& [id, target] : targets_) deadlines_.Clear({DeadlineKind::kDial, id});
  for (const auto& [uid, pair] : pairs_) {
    deadlines_.Clear({DeadlineKind::kSilence, uid});
    deadlines_.Clear({DeadlineKind::kWatchStart, uid});
  }
}

std::vector<PeerStatus> ControlPlane::Peers(uint64_t now_us) const {
  std::vector<PeerStatus> peers;
  for (const auto& [uid, pair] : pairs_) {
    if (pair.link == 0 && !pair.watched) continue;
    PeerStatus status{.uid = uid, .address = pair.peer.address, .link = pair.link, .watched = pair.watched};
    // Where it is watched, which is what the caller named; else what it advertises.
    const auto target = targets_.find(pair.watch_target_id);
    if (target != targets_.end()) status.address = target->second->address;
    if (pair.detector.has_value()) {
      status.phi = pair.detector->Phi(DetectorMs(now_us));
      status.silent_ms = pair.detector->SilentMs(DetectorMs(now_us));
    }
    status.loop_age_ms = pair.loop_age_ms;
    status.rtt_ms = pair.rtt_ms;
    peers.push_back(std::move(status));
  }
  return peers;
}

Connection* ControlPlane::FindConnection(ConnectionId id) {
  const auto entry = connections_.find(id);
  return entry == connections_.end() ? nullptr : entry->second.get();
}

Connection* ControlPlane::LinkOf(const Pair& pair) {
  return pair.link == 0 ? nullptr : FindConnection(pair.link);
}

Pair* ControlPlane::FindPair(Uid uid) {
  const auto entry = pairs_.find(uid);
  return entry == pairs_.end() ? nullptr : &entry->second;
}

Pair& ControlPlane::EnsurePair(Uid uid) {
  // Forgetting an incarnation only restarts its numbers: the next dial is refused once and told the right
  // one.
  if (pairs_.size() >= limits::kPairsMax && !pairs_.contains(uid)) ForgetIdlePairs();
  Pair& pair = pairs_[uid];
  pair.uid = uid;
  pair.last_use = ++use_counter_;
  return pair;
}

void ControlPlane::ForgetIdlePairs() {
  std::vector<std::pair<uint64_t, Uid>> idle;
  for (const auto& [uid, pair] : pairs_) {
    if (pair.link == 0 && !pair.watched) idle.emplace_back(pair.last_use, uid);
  }
  // Half at a time, so that the scan is paid for by many insertions.
  std::ranges::sort(idle);
  idle.resize((idle.size() + 1) / 2);
  for (const auto& [last_use, uid] : idle) pairs_.erase(uid);
}

Target* ControlPlane::FindTarget(uint64_t id) {
  const auto entry = targets_.find(id);
  return entry == targets_.end() ? nullptr : entry->second.get();
}

Target* ControlPlane::FindTarget(const Endpoint& address) {
  const auto entry = target_ids_.find(address);
  return entry == target_ids_.end() ? nullptr : FindTarget(entry->second);
}

Target* ControlPlane::EnsureTarget(const Endpoint& address) {
  if (Target* known = FindTarget(address)) return known;
  // Bad addresses come in with gossip; they are counted, for a command never throws.
  const bool dialable = !address.host.empty() && address.host.size() <= limits::kHostBytesMax;
  if (!dialable || targets_.size() >= limits::kWantedPeersMax) {
    counters_->Add(Counter::kWantedRefused);
    return nullptr;
  }
  auto target = std::make_unique<Target>(uint64_t{options_.dial.backoff_min_ms} * 1000);
  target->id = next_target_id_++;
  target->address = address;
  Target* created = target.get();
  target_ids_[address] = created->id;
  targets_[created->id] = std::move(target);
  return created;
}

std::vector<uint64_t> ControlPlane::TargetsOf(const Pair& pair) const {
  // Linear, but targets are bounded and this is asked only when links come and go.
  std::vector<uint64_t> ids;
  for (const auto& [id, target] : targets_) {
    const bool here = target->answered_by == pair.uid || target->address == pair.peer.address ||
                      id == pair.watch_target_id || target->connect_uid == pair.uid;
    if (here) ids.push_back(id);
  }
  return ids;
}

void ControlPlane::Collect() {
  destroyed_.clear();
  // An idle target may have been wanted again since it was noted.
  for (const uint64_t id : std::exchange(idle_targets_, {})) {
    const Target* target = FindTarget(id);
    if (target == nullptr || target->Wanted() || !target->probes.empty() || target->dial != 0) continue;
    target_ids_.erase(target->address);
    targets_.erase(id);
  }
}

// No event follows a close.
bool ControlPlane::Emit(const Event& event) { return closing_ || effects_->Emit(event); }

}  // namespace skein::core
