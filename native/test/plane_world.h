// Control planes joined by simulated sockets on one virtual clock: a seeded, repeatable network in memory.
// Bytes take time and arrive in random pieces; hosts can be cut off, killed, paused. Lanes that were handed
// over go on carrying bytes; what a plane writes to a connection that a test drives by hand is kept for it.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "../core/control_plane.h"

namespace skein::test {

struct SeenEvent {
  core::EventType type;
  uint8_t reason;
  bool on;
  core::Uid uid;
  uint32_t session;
  core::Uid peer_uid;
  std::string text;  // payload of messages, remote of badInput
  uint32_t dial = 0;
  core::Lane lane = core::Lane::kControl;
};

// A lane that was handed over, and what has arrived on it since.
struct HeldLane {
  core::ConnectionId id;
  core::LaneHandOver lane;
  std::string received;
  bool ended = false;
};

using Secrets = std::vector<std::vector<uint8_t>>;

class World;

class WorldNode final : public core::Effects {
 public:
  WorldNode(World* world, core::Uid uid, uint16_t port, Secrets secrets);

  void Dial(core::ConnectionId id, const core::Endpoint& to) override;
  uint64_t Write(core::ConnectionId id, core::Bytes head, core::Bytes body) override;
  uint64_t WrittenBytes(core::ConnectionId id) const override;
  void Shutdown(core::ConnectionId id) override;
  void Reset(core::ConnectionId id) override;
  void Destroy(core::ConnectionId id) override;
  void HandOver(core::ConnectionId id, const core::LaneHandOver& lane, core::Bytes unread) override;
  bool Emit(const core::Event& event) override;
  bool InboxFull() const override { return inbox_full; }
  uint32_t LoopAgeMs(uint64_t) override { return loop_age_ms; }

  size_t Count(core::EventType type) const;
  const SeenEvent* Last(core::EventType type) const;
  bool LinkedTo(core::Uid uid, uint64_t now_us) const;
  void Send(core::Uid to, const std::string& text);
  void SendOnLane(const HeldLane& lane, const std::string& text);

  core::Uid uid;
  core::Endpoint address;
  core::Counters counters;
  std::unique_ptr<core::ControlPlane> plane;
  std::vector<SeenEvent> events;
  std::vector<HeldLane> lanes;
  int resets = 0;
  // By connection: what was written where no simulated socket is.
  std::map<core::ConnectionId, std::vector<uint8_t>> unwired;
  std::vector<core::ConnectionId> dialled;
  bool listening = true;
  uint32_t loop_age_ms = 0;
  bool inbox_full = false;
  bool refuse_messages = false;

 private:
  friend class World;
  struct Socket {
    uint64_t wire = 0;  // 0 while it is connecting, or after the other end is gone
    bool initiator = false;
    uint64_t queued = 0;
  };

  World* world_;
  std::unique_ptr<core::Authenticator> auth_;
  std::map<core::ConnectionId, Socket> sockets_;
  bool stopped_ = false;
};

class World {
 public:
  explicit World(uint64_t seed) : random(seed) {}

  WorldNode& Add(core::Uid uid, Secrets secrets = {});
  // Until then everything that is due happens, in order of time and then of insertion.
  void Run(uint64_t for_us);
  // Connects between the two vanish, and bytes wait as TCP's retransmissions do; nothing is closed.
  void Cut(const WorldNode& a, const WorldNode& b);
  // What waited arrives; unless the sockets of before stay dead, as behind a middlebox that forgot them.
  void Heal(const WorldNode& a, const WorldNode& b, bool revive = true);
  // The process dies: its sockets end, later connects are refused.
  void Kill(WorldNode& node);

  uint64_t now_us = 1'000'000;
  core::Random random;
  // Delivered in pieces of at most this many bytes; 0: whole.
  size_t piece_bytes_max = 0;
  uint64_t delay_us_max = 2000;
  std::vector<std::unique_ptr<WorldNode>> nodes;

 private:
  friend class WorldNode;
  enum class Kind : uint8_t { kConnect, kConnected, kFailed, kData, kEnd };

  struct Happening {
    Kind kind;
    WorldNode* node;
    core::ConnectionId id;
    uint64_t wire;
    std::vector<uint8_t> bytes;
  };

  struct Wire {
    WorldNode* ends[2] = {nullptr, nullptr};
    core::ConnectionId ids[2] = {0, 0};
    bool open[2] = {true, true};
    uint64_t earliest_us[2] = {0, 0};  // keeps each direction in order
    bool dead = false;
    std::vector<Happening> waiting;  // for the end of a cut
  };

  void Schedule(uint64_t at_us, Happening happening);
  uint64_t Delay();
  void Happen(Happening happening);
  void Connect(Happening happening);
  // True when the bytes, or the end, were for a lane that has left its plane.
  static bool TakenByLane(const Happening& happening);
  void SendOn(uint64_t wire_id, bool from_initiator, Kind kind, std::vector<uint8_t> bytes);
  bool IsCut(const WorldNode* a, const WorldNode* b) const;

  uint64_t next_wire_ = 1;
  uint64_t next_order_ = 0;
  std::map<std::pair<uint64_t, uint64_t>, Happening> agenda_;
  std::map<uint64_t, Wire> wires_;
  std::map<std::pair<const WorldNode*, const WorldNode*>, bool> cuts_;
};

}  // namespace skein::test
