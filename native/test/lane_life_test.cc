// Lanes whose handshake is cut short: by quarantine, by shutdown, by their number, by anything at random.
#include <algorithm>

#include "../core/limits.h"
#include "lane_rig.h"

namespace skein::test {
namespace {

using core::BadInputReason;
using core::EventType;
using core::FrameKind;
using core::Lane;
using core::LaneFailedReason;

TEST("quarantine ends lane handshakes in every phase, without a frame") {
  Linked connecting(1);
  connecting.world.Cut(connecting.a, connecting.b);
  connecting.Open(connecting.a, connecting.b, Lane::kLarge, 2);
  const core::ConnectionId dialled = connecting.a.dialled.back();
  connecting.a.plane->Quarantine(kHigh, core::QuarantineReason::kOperator, connecting.world.now_us);
  CHECK(connecting.a.Count(EventType::kLaneFailed) == 1);
  connecting.a.plane->OnConnected(dialled, connecting.world.now_us);
  CHECK(connecting.a.unwired[dialled].empty());

  Linked greeted(1);
  HandDriven dial = greeted.OpenByHand(Lane::kLarge, 2);
  HandDriven accepted(greeted.world, greeted.a);
  accepted.WriteHello(HelloOf(greeted.b, 1, Lane::kOrdinary));
  greeted.a.plane->Quarantine(kHigh, core::QuarantineReason::kOperator, greeted.world.now_us);
  dial.Write(FrameKind::kHelloAck, AckBody(greeted.b, 2, Lane::kLarge));
  accepted.Write(FrameKind::kReady, {});
  CHECK(dial.Last().kind == FrameKind::kHello && accepted.Last().kind == FrameKind::kHelloAck);
  CHECK(greeted.a.lanes.empty() && greeted.a.Count(EventType::kLaneFailed) == 1);
  const SeenEvent* failed = greeted.a.Last(EventType::kLaneFailed);
  CHECK(failed != nullptr && failed->reason == static_cast<uint8_t>(LaneFailedReason::kHandshake));
  HandDriven later(greeted.world, greeted.a);
  later.WriteHello(HelloOf(greeted.b, 1, Lane::kOrdinary));
  CHECK(later.Refusal() == core::RefusalReason::kQuarantined);
}

TEST("a link held for its successor is not held for a lane") {
  Linked pair(1);
  const core::ConnectionId link = pair.a.plane->Peers(pair.world.now_us).front().link;
  HandDriven lane(pair.world, pair.a);
  lane.WriteHello(HelloOf(pair.b, 7, Lane::kOrdinary));
  const core::GoodbyeBody goodbye{core::GoodbyeReason::kSuperseded};
  pair.a.plane->OnData(link, core::EncodeFrame(FrameKind::kGoodbye, 0, 0, goodbye), pair.world.now_us);
  pair.a.plane->OnEnd(link, core::EndKind::kEof, pair.world.now_us);
  CHECK(pair.a.Count(EventType::kLinkDown) == 1);
}

TEST("at shutdown pending lanes are closed, without an event, and none is opened") {
  Linked pair(1);
  HandDriven greeted = pair.OpenByHand(Lane::kOrdinary, 1);
  pair.Open(pair.a, pair.b, Lane::kLarge, 1);
  HandDriven accepted(pair.world, pair.a);
  accepted.WriteHello(HelloOf(pair.b, 1, Lane::kOrdinary));
  const size_t events = pair.a.events.size();
  const size_t dials = pair.a.dialled.size();
  pair.a.plane->Close(pair.world.now_us);
  pair.Open(pair.a, pair.b, Lane::kLarge, 2);
  accepted.Write(FrameKind::kReady, {});
  greeted.Write(FrameKind::kHelloAck, AckBody(pair.b, 1, Lane::kOrdinary));
  pair.world.Run(uint64_t{core::limits::kDrainTimeoutMs} * 1000);
  CHECK(pair.a.plane->Drained() && pair.a.lanes.empty() && pair.a.events.size() == events);
  CHECK(pair.a.dialled.size() == dials);
}

TEST("so many lane dials are under way, and one more fails until one has ended") {
  Linked pair(1);
  pair.world.Cut(pair.a, pair.b);
  for (uint32_t dial = 1; dial <= core::limits::kLaneDialsMax; ++dial) {
    pair.Open(pair.a, pair.b, Lane::kOrdinary, dial);
  }
  CHECK(pair.a.Count(EventType::kLaneFailed) == 0);
  pair.Open(pair.a, pair.b, Lane::kOrdinary, 9999);
  CHECK(pair.a.Count(EventType::kLaneFailed) == 1);
  CHECK(pair.a.Last(EventType::kLaneFailed)->reason == static_cast<uint8_t>(LaneFailedReason::kUnreachable));
  HandDriven first = HandDriven::LastDial(pair.world, pair.a);
  first.Write(FrameKind::kHelloAck, AckBody(pair.b, core::limits::kLaneDialsMax, Lane::kOrdinary));
  CHECK(pair.a.lanes.size() == 1);
  pair.Open(pair.a, pair.b, Lane::kOrdinary, 10'000);
  CHECK(pair.a.Count(EventType::kLaneFailed) == 1);
  pair.world.Run(2 * kSecondUs);
  // All others have timed out, and given up their places.
  CHECK(pair.a.Count(EventType::kLaneFailed) == core::limits::kLaneDialsMax + 1);
  for (uint32_t dial = 1; dial <= core::limits::kLaneDialsMax; ++dial) {
    pair.Open(pair.a, pair.b, Lane::kOrdinary, dial);
  }
  CHECK(pair.a.Count(EventType::kLaneFailed) == core::limits::kLaneDialsMax + 1);
}

void StepAtRandom(World& world, std::map<core::Uid, uint32_t>* opened) {
  WorldNode& one = *world.nodes[world.random.Next() % 3];
  WorldNode& other = *world.nodes[world.random.Next() % 3];
  switch (world.random.Next() % 6) {
    case 0:
      return one.plane->Connect(other.address, 0, world.now_us);
    case 1:
      return one.plane->Disconnect(other.address, world.now_us);
    case 2:
      return world.random.Next() % 2 == 0 ? world.Cut(one, other)
                                          : world.Heal(one, other, world.random.Next() % 2 == 0);
    default:
      const Lane lane = world.random.Next() % 2 == 0 ? Lane::kOrdinary : Lane::kLarge;
      return one.plane->OpenLane(other.uid, lane, ++(*opened)[one.uid], world.now_us);
  }
}

bool HasLane(const WorldNode& node, core::Uid dialler, uint32_t dial) {
  return std::ranges::any_of(node.lanes, [&](const HeldLane& held) {
    return held.lane.dialler == dialler && held.lane.dial == dial;
  });
}

void CheckOutcomes(const World& world, const WorldNode& node, uint32_t opened) {
  std::map<std::pair<core::Uid, uint32_t>, int> outcomes;
  for (const SeenEvent& event : node.events) {
    if (event.type == EventType::kLaneFailed) ++outcomes[{node.uid, event.dial}];
  }
  for (const HeldLane& held : node.lanes) {
    ++outcomes[{held.lane.dialler, held.lane.dial}];
    CHECK(HasLane(*world.nodes[held.lane.dialler / 0x100 - 1], held.lane.dialler, held.lane.dial));
  }
  uint32_t own = 0;
  for (const auto& [name, count] : outcomes) {
    CHECK(count == 1);
    if (name.first == node.uid) ++own;
  }
  CHECK(own == opened);
  CHECK(node.counters.Get(BadInputReason::kUnexpectedFrame) == 0);
}

TEST("random lives: every lane dial has one outcome, and nobody accepts a lane that its dialler has not") {
  size_t handed_over = 0;
  for (uint64_t seed = 1; seed <= 300; ++seed) {
    World world(seed);
    world.piece_bytes_max = 50;
    for (core::Uid uid = 1; uid <= 3; ++uid) world.Add(uid * 0x100);
    std::map<core::Uid, uint32_t> opened;
    for (int step = 0; step < 60; ++step) {
      StepAtRandom(world, &opened);
      world.Run(world.random.Next() % 200'000);
    }
    world.Run(5 * kSecondUs);
    for (const auto& node : world.nodes) {
      CheckOutcomes(world, *node, opened[node->uid]);
      handed_over += node->lanes.size();
    }
  }
  CHECK(handed_over > 1000);
}

}  // namespace
}  // namespace skein::test
