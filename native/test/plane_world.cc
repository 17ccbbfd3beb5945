// The simulated network behind the tests of the control plane.
#include "plane_world.h"

#include <algorithm>
#include <utility>

#include "fake_auth.h"

namespace skein::test {

WorldNode::WorldNode(World* world, core::Uid node_uid, uint16_t port, Secrets secrets)
    : uid(node_uid),
      address{"10.0.0.1", port},
      world_(world),
      auth_(std::make_unique<FakeAuth>(world->random.Next())) {
  core::ControlPlaneOptions options;
  options.cluster = "world";
  options.node_id = "node-" + std::to_string(port);
  options.uid = uid;
  options.bind = options.advertised = address;
  options.heartbeat = {.interval_ms = 100, .acceptable_pause_ms = 500};
  options.secrets = std::move(secrets);
  options.random_seed = node_uid;
  plane = std::make_unique<core::ControlPlane>(options, this, &counters, auth_.get());
}

void WorldNode::Dial(core::ConnectionId id, const core::Endpoint& to) {
  sockets_[id] = {};
  dialled.push_back(id);
  world_->Schedule(world_->now_us + world_->Delay(), {World::Kind::kConnect, this, id, to.port, {}});
}

uint64_t WorldNode::Write(core::ConnectionId id, core::Bytes head, core::Bytes body) {
  Socket& socket = sockets_[id];
  std::vector<uint8_t> bytes(head.begin(), head.end());
  bytes.insert(bytes.end(), body.begin(), body.end());
  socket.queued += bytes.size();
  if (socket.wire != 0) {
    world_->SendOn(socket.wire, socket.initiator, World::Kind::kData, std::move(bytes));
  } else {
    std::vector<uint8_t>& kept = unwired[id];
    kept.insert(kept.end(), bytes.begin(), bytes.end());
  }
  return socket.queued;
}

uint64_t WorldNode::WrittenBytes(core::ConnectionId id) const {
  const auto socket = sockets_.find(id);
  return socket == sockets_.end() ? 0 : socket->second.queued;
}

void WorldNode::Shutdown(core::ConnectionId id) {
  const Socket& socket = sockets_[id];
  if (socket.wire == 0) return;
  World::Wire& wire = world_->wires_.at(socket.wire);
  const int end = socket.initiator ? 0 : 1;
  if (!std::exchange(wire.open[end], false)) return;
  world_->SendOn(socket.wire, socket.initiator, World::Kind::kEnd, {});
}

// The world's wires have no resets: an end is an end.
void WorldNode::Reset(core::ConnectionId) { ++resets; }

void WorldNode::Destroy(core::ConnectionId id) {
  Shutdown(id);
  sockets_.erase(id);
}

void WorldNode::HandOver(core::ConnectionId id, const core::LaneHandOver& lane, core::Bytes unread) {
  lanes.push_back({id, lane, std::string(unread.begin(), unread.end())});
}

void WorldNode::SendOnLane(const HeldLane& lane, const std::string& text) {
  Write(lane.id, {}, {reinterpret_cast<const uint8_t*>(text.data()), text.size()});
}

bool WorldNode::Emit(const core::Event& event) {
  if (event.type == core::EventType::kMessage && refuse_messages) return false;
  SeenEvent seen{event.type, event.reason, event.on, event.uid, event.session, 0, std::string(event.text),
                 event.attempts, event.lane};
  if (event.peer != nullptr) seen.peer_uid = event.peer->uid;
  if (!event.bytes.empty()) seen.text.assign(event.bytes.begin(), event.bytes.end());
  events.push_back(std::move(seen));
  return true;
}

size_t WorldNode::Count(core::EventType type) const {
  return static_cast<size_t>(std::ranges::count(events, type, &SeenEvent::type));
}

const SeenEvent* WorldNode::Last(core::EventType type) const {
  const auto found = std::find_if(events.rbegin(), events.rend(),
                                  [type](const SeenEvent& event) { return event.type == type; });
  return found == events.rend() ? nullptr : &*found;
}

bool WorldNode::LinkedTo(core::Uid other, uint64_t now_us) const {
  const std::vector<core::PeerStatus> peers = plane->Peers(now_us);
  return std::ranges::any_of(
      peers, [other](const core::PeerStatus& peer) { return peer.uid == other && peer.link != 0; });
}

void WorldNode::Send(core::Uid to, const std::string& text) {
  plane->Send(to, {reinterpret_cast<const uint8_t*>(text.data()), text.size()}, world_->now_us);
}

WorldNode& World::Add(core::Uid uid, Secrets secrets) {
  const auto port = static_cast<uint16_t>(7000 + nodes.size());
  nodes.push_back(std::make_unique<WorldNode>(this, uid, port, std::move(secrets)));
  return *nodes.back();
}

uint64_t World::Delay() { return 1 + random.Next() % delay_us_max; }

void World::Schedule(uint64_t at_us, Happening happening) {
  agenda_[{at_us, next_order_++}] = std::move(happening);
}

void World::Run(uint64_t for_us) {
  const uint64_t end_us = now_us + for_us;
  for (;;) {
    uint64_t next_us = agenda_.empty() ? core::kNever : agenda_.begin()->first.first;
    for (const auto& node : nodes) {
      if (!node->stopped_) next_us = std::min(next_us, node->plane->NextDeadline());
    }
    if (next_us > end_us) break;
    now_us = std::max(now_us, next_us);
    while (!agenda_.empty() && agenda_.begin()->first.first <= now_us) {
      auto first = agenda_.extract(agenda_.begin());
      Happen(std::move(first.mapped()));
    }
    for (const auto& node : nodes) {
      if (!node->stopped_ && node->plane->NextDeadline() <= now_us) node->plane->OnDeadline(now_us);
    }
  }
  now_us = end_us;
}

void World::Happen(Happening happening) {
  WorldNode& node = *happening.node;
  if (TakenByLane(happening)) return;
  if (node.stopped_ || (happening.kind != Kind::kConnect && !node.sockets_.contains(happening.id))) return;
  switch (happening.kind) {
    case Kind::kConnect:
      return Connect(std::move(happening));
    case Kind::kConnected:
      node.sockets_[happening.id].wire = happening.wire;
      node.sockets_[happening.id].initiator = true;
      return node.plane->OnConnected(happening.id, now_us);
    case Kind::kFailed:
      return node.plane->OnConnectFailed(happening.id, core::GatedReason::kRefused, now_us);
    case Kind::kData:
      return node.plane->OnData(happening.id, happening.bytes, now_us);
    case Kind::kEnd:
      return node.plane->OnEnd(happening.id, core::EndKind::kEof, now_us);
  }
}

bool World::TakenByLane(const Happening& happening) {
  std::vector<HeldLane>& lanes = happening.node->lanes;
  const auto lane = std::ranges::find(lanes, happening.id, &HeldLane::id);
  if (lane == lanes.end()) return false;
  lane->received.append(happening.bytes.begin(), happening.bytes.end());
  lane->ended = lane->ended || happening.kind == Kind::kEnd;
  return true;
}

void World::Connect(Happening happening) {
  WorldNode* dialler = happening.node;
  const auto target = std::ranges::find_if(
      nodes, [&](const auto& node) { return node->address.port == happening.wire && !node->stopped_; });
  if (target == nodes.end() || !(*target)->listening) {
    Schedule(now_us + Delay(), {Kind::kFailed, dialler, happening.id, 0, {}});
    return;
  }
  // A SYN that is lost: the dialler's own timeout ends the attempt.
  if (IsCut(dialler, target->get())) return;
  const core::ConnectionId accepted = (*target)->plane->OnAccepted("10.0.0.9:1", now_us);
  if (accepted == 0) return;
  const uint64_t wire = next_wire_++;
  Wire& created = wires_[wire];
  created.ends[0] = dialler;
  created.ends[1] = target->get();
  created.ids[0] = happening.id;
  created.ids[1] = accepted;
  (*target)->sockets_[accepted] = {wire, false, 0};
  Schedule(now_us + Delay(), {Kind::kConnected, dialler, happening.id, wire, {}});
}

void World::SendOn(uint64_t wire_id, bool from_initiator, Kind kind, std::vector<uint8_t> bytes) {
  Wire& wire = wires_.at(wire_id);
  const int to = from_initiator ? 1 : 0;
  if (wire.dead) return;
  if (IsCut(wire.ends[0], wire.ends[1])) {
    wire.waiting.push_back({kind, wire.ends[to], wire.ids[to], wire_id, std::move(bytes)});
    return;
  }
  uint64_t& earliest_us = wire.earliest_us[to];
  for (size_t at = 0; at < bytes.size() || kind == Kind::kEnd;) {
    const size_t most = piece_bytes_max == 0 ? bytes.size() : piece_bytes_max;
    const size_t size = kind == Kind::kEnd ? 0 : std::min(bytes.size() - at, 1 + random.Next() % most);
    const auto from = bytes.begin() + static_cast<ptrdiff_t>(at);
    earliest_us = std::max(earliest_us, now_us + Delay());
    Schedule(earliest_us,
             {kind, wire.ends[to], wire.ids[to], wire_id, {from, from + static_cast<ptrdiff_t>(size)}});
    at += size;
    if (kind == Kind::kEnd) return;
  }
}

bool World::IsCut(const WorldNode* a, const WorldNode* b) const {
  const auto cut = cuts_.find(std::minmax(a, b));
  return cut != cuts_.end() && cut->second;
}

void World::Cut(const WorldNode& a, const WorldNode& b) { cuts_[std::minmax(&a, &b)] = true; }

void World::Heal(const WorldNode& a, const WorldNode& b, bool revive) {
  cuts_[std::minmax(&a, &b)] = false;
  for (auto& [id, wire] : wires_) {
    if (std::minmax<const WorldNode*>(wire.ends[0], wire.ends[1]) != std::minmax(&a, &b)) continue;
    wire.dead = wire.dead || !revive;
    for (Happening& waiting : std::exchange(wire.waiting, {})) {
      SendOn(id, waiting.node == wire.ends[1], waiting.kind, std::move(waiting.bytes));
    }
  }
}

void World::Kill(WorldNode& node) {
  std::vector<core::ConnectionId> ids;
  for (const auto& [id, socket] : node.sockets_) ids.push_back(id);
  for (const core::ConnectionId id : ids) node.Destroy(id);
  node.stopped_ = true;
}

}  // namespace skein::test
