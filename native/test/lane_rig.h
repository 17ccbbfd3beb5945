// Two linked nodes, of which one opens lanes to the other.
#pragma once

#include "check.h"
#include "hand_driven.h"
#include "plane_world.h"

namespace skein::test {

inline constexpr uint64_t kSecondUs = 1'000'000;
inline constexpr core::Uid kLow = 0x100;
inline constexpr core::Uid kHigh = 0x200;

// Two nodes with a link, dialled by the first.
struct Linked {
  explicit Linked(uint64_t seed) : world(seed), a(world.Add(kLow)), b(world.Add(kHigh)) {
    world.piece_bytes_max = seed % 2 == 0 ? 30 : 0;
    a.plane->Connect(b.address, 0, world.now_us);
    world.Run(kSecondUs);
  }

  void Open(WorldNode& from, const WorldNode& to, core::Lane lane, uint32_t dial) {
    from.plane->OpenLane(to.uid, lane, dial, world.now_us);
  }

  // A lane dial of a's whose bytes the test carries.
  HandDriven OpenByHand(core::Lane lane, uint32_t dial) {
    world.Cut(a, b);
    Open(a, b, lane, dial);
    return HandDriven::LastDial(world, a);
  }

  void CheckLinkUntouched() {
    CHECK(a.LinkedTo(b.uid, world.now_us) && b.LinkedTo(a.uid, world.now_us));
    for (const WorldNode* node : {&a, &b}) {
      CHECK(node->Count(core::EventType::kLinkUp) == 1 && node->Count(core::EventType::kLinkDown) == 0);
      CHECK(node->Count(core::EventType::kGated) == 0 && node->Count(core::EventType::kRefused) == 0);
      CHECK(node->Count(core::EventType::kIdentityChanged) == 0);
      CHECK(node->Count(core::EventType::kSuspicion) == 0);
    }
  }

  // a was told once that this dial failed, and why.
  void CheckFailed(core::LaneFailedReason reason, core::Lane lane, uint32_t dial) {
    CHECK(a.Count(core::EventType::kLaneFailed) == 1);
    CHECK(a.counters.Get(core::Counter::kLaneDialsFailed) == 1);
    const SeenEvent* failed = a.Last(core::EventType::kLaneFailed);
    CHECK(failed != nullptr && failed->reason == static_cast<uint8_t>(reason));
    CHECK(failed != nullptr && failed->uid == b.uid && failed->lane == lane && failed->dial == dial);
    CHECK(a.lanes.empty());
    CheckLinkUntouched();
  }

  World world;
  WorldNode& a;
  WorldNode& b;
};

inline std::vector<uint8_t> AckBody(const WorldNode& node, uint32_t dial, core::Lane lane) {
  return core::EncodeHelloBody(HelloOf(node, dial, lane));
}

}  // namespace skein::test
