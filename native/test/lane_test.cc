// Data lanes up to their hand-over: who gets which socket, what becomes of one that fails, and that nothing else
// is touched by any of it.
#include <algorithm>

#include "../core/limits.h"
#include "check.h"
#include "hand_driven.h"
#include "plane_world.h"

namespace skein::test {
namespace {

using core::BadInputReason;
using core::EventType;
using core::FrameKind;
using core::Lane;
using core::LaneFailedReason;

constexpr uint64_t kSecondUs = 1'000'000;
constexpr core::Uid kLow = 0x100;
constexpr core::Uid kHigh = 0x200;

// Two nodes with a link, dialled by the first.
struct Linked {
  explicit Linked(uint64_t seed) : world(seed), a(world.Add(kLow)), b(world.Add(kHigh)) {
    world.piece_bytes_max = seed % 2 == 0 ? 30 : 0;
    a.plane->Connect(b.address, 0, world.now_us);
    world.Run(kSecondUs);
  }

  void Open(WorldNode& from, const WorldNode& to, Lane lane, uint32_t dial) {
    from.plane->OpenLane(to.uid, lane, dial, world.now_us);
  }

  // A lane dial of a's whose bytes the test carries.
  HandDriven OpenByHand(Lane lane, uint32_t dial) {
    world.Cut(a, b);
    Open(a, b, lane, dial);
    return HandDriven::LastDial(world, a);
  }

  void CheckLinkUntouched() {
    CHECK(a.LinkedTo(b.uid, world.now_us) && b.LinkedTo(a.uid, world.now_us));
    for (const WorldNode* node : {&a, &b}) {
      CHECK(node->Count(EventType::kLinkUp) == 1 && node->Count(EventType::kLinkDown) == 0);
      CHECK(node->Count(EventType::kGated) == 0 && node->Count(EventType::kRefused) == 0);
      CHECK(node->Count(EventType::kIdentityChanged) == 0 && node->Count(EventType::kSuspicion) == 0);
    }
  }

  // a was told once that this dial failed, and why.
  void CheckFailed(LaneFailedReason reason, Lane lane, uint32_t dial) {
    CHECK(a.Count(EventType::kLaneFailed) == 1);
    CHECK(a.counters.Get(core::Counter::kLaneDialsFailed) == 1);
    const SeenEvent* failed = a.Last(EventType::kLaneFailed);
    CHECK(failed != nullptr && failed->reason == static_cast<uint8_t>(reason));
    CHECK(failed != nullptr && failed->uid == b.uid && failed->lane == lane && failed->dial == dial);
    CHECK(a.lanes.empty());
    CheckLinkUntouched();
  }

  World world;
  WorldNode& a;
  WorldNode& b;
};

std::vector<uint8_t> AckBody(const WorldNode& node, uint32_t dial, Lane lane) {
  return core::EncodeHelloBody(HelloOf(node, dial, lane));
}

TEST("a lane is handed over on both sides under one name, and carries bytes both ways") {
  for (uint64_t seed = 1; seed <= 200; ++seed) {
    Linked pair(seed);
    pair.Open(pair.a, pair.b, Lane::kOrdinary, 5);
    pair.world.Run(kSecondUs);
    CHECK(pair.a.lanes.size() == 1 && pair.b.lanes.size() == 1);
    if (pair.a.lanes.empty() || pair.b.lanes.empty()) continue;
    for (const HeldLane& held : {pair.a.lanes[0], pair.b.lanes[0]}) {
      CHECK(held.lane.lane == Lane::kOrdinary && held.lane.dial == 5 && held.lane.dialler == pair.a.uid);
    }
    CHECK(pair.a.lanes[0].lane.peer.uid == pair.b.uid && pair.b.lanes[0].lane.peer.uid == pair.a.uid);
    CHECK(pair.b.lanes[0].lane.peer.address == pair.a.address);
    pair.a.SendOnLane(pair.a.lanes[0], std::string(1000, 'a'));
    pair.b.SendOnLane(pair.b.lanes[0], "from b");
    // Longer than any timeout of the handshake: nothing of the control plane's is left that could end it.
    pair.world.Run(10 * kSecondUs);
    CHECK(pair.b.lanes[0].received == std::string(1000, 'a') && pair.a.lanes[0].received == "from b");
    CHECK(!pair.a.lanes[0].ended && !pair.b.lanes[0].ended);
    CHECK(pair.a.counters.Get(core::Counter::kLanesOpened) == 1);
    pair.CheckLinkUntouched();
  }
}

TEST("both sides may open both lanes at once: every socket has its own (dial, dialler)") {
  for (uint64_t seed = 1; seed <= 200; ++seed) {
    Linked pair(seed);
    for (const Lane lane : {Lane::kOrdinary, Lane::kLarge}) {
      pair.Open(pair.a, pair.b, lane, 1);
      pair.Open(pair.b, pair.a, lane, 1);
    }
    pair.world.Run(kSecondUs);
    for (const WorldNode* node : {&pair.a, &pair.b}) {
      std::map<std::tuple<Lane, uint32_t, core::Uid>, int> names;
      for (const HeldLane& held : node->lanes) ++names[{held.lane.lane, held.lane.dial, held.lane.dialler}];
      CHECK(node->lanes.size() == 4 && names.size() == 4);
    }
    pair.CheckLinkUntouched();
  }
}

TEST("bytes read past the handshake travel with the lane") {
  Linked pair(1);
  HandDriven dial = pair.OpenByHand(Lane::kLarge, 9);
  CHECK(dial.Last().kind == FrameKind::kHello);
  const std::optional<core::Hello> hello = core::DecodeHelloBody(dial.Last().body);
  CHECK(hello.has_value() && hello->lane == Lane::kLarge && hello->dial == 9);
  CHECK(hello.has_value() && hello->dialed == pair.b.address);
  std::vector<uint8_t> bytes = FrameOf(FrameKind::kHelloAck, AckBody(pair.b, 9, Lane::kLarge));
  bytes.insert(bytes.end(), {'d', 'a', 't', 'a'});
  dial.Write(bytes);
  CHECK(pair.a.lanes.size() == 1 && pair.a.lanes[0].received == "data");
  CHECK(dial.Last().kind == FrameKind::kReady && dial.Last().body.empty());
  HandDriven accepted(pair.world, pair.a);
  // In two pieces, so that the frame before the data is put together first.
  accepted.WriteHello(HelloOf(pair.b, 1, Lane::kOrdinary));
  const std::vector<uint8_t> ready = FrameOf(FrameKind::kReady, {});
  accepted.Write(core::Bytes(ready).first(5));
  std::vector<uint8_t> rest(ready.begin() + 5, ready.end());
  rest.insert(rest.end(), 70'000, 'x');
  accepted.Write(rest);
  CHECK(pair.a.lanes.size() == 2 && pair.a.lanes[1].received == std::string(70'000, 'x'));
  CHECK(pair.a.lanes[1].lane.dialler == pair.b.uid && pair.a.lanes[1].lane.dial == 1);
}

TEST("without a link, or with a name that no hello carries, a lane fails at once") {
  World world(1);
  WorldNode& a = world.Add(kLow);
  WorldNode& b = world.Add(kHigh);
  a.plane->OpenLane(b.uid, Lane::kOrdinary, 1, world.now_us);
  CHECK(a.Count(EventType::kLaneFailed) == 1);
  CHECK(a.Last(EventType::kLaneFailed)->reason == static_cast<uint8_t>(LaneFailedReason::kNoLink));
  a.plane->Connect(b.address, 0, world.now_us);
  world.Run(kSecondUs);
  world.Kill(b);
  world.Run(kSecondUs);
  a.plane->OpenLane(b.uid, Lane::kOrdinary, 1, world.now_us);
  CHECK(a.Last(EventType::kLaneFailed)->reason == static_cast<uint8_t>(LaneFailedReason::kNoLink));
  for (const auto& [lane, dial] :
       {std::pair(Lane::kControl, 1u), std::pair(static_cast<Lane>(3), 1u), std::pair(Lane::kLarge, 0u)}) {
    Linked pair(1);
    const size_t dials = pair.a.dialled.size();
    pair.Open(pair.a, pair.b, lane, dial);
    pair.CheckFailed(LaneFailedReason::kHandshake, lane, dial);
    CHECK(pair.a.dialled.size() == dials);
  }
}

TEST("a lane that is refused, lost or turned away fails once, and is not tried again") {
  for (uint64_t seed = 1; seed <= 20; ++seed) {
    Linked refused(seed);
    refused.b.listening = false;
    refused.Open(refused.a, refused.b, Lane::kOrdinary, 3);
    refused.world.Run(5 * kSecondUs);
    refused.CheckFailed(LaneFailedReason::kRefused, Lane::kOrdinary, 3);
    Linked lost(seed);
    lost.world.Cut(lost.a, lost.b);
    lost.Open(lost.a, lost.b, Lane::kLarge, 4);
    lost.world.Run(5 * kSecondUs);
    lost.CheckFailed(LaneFailedReason::kTimeout, Lane::kLarge, 4);
    Linked busy(seed);
    busy.b.inbox_full = true;
    busy.Open(busy.a, busy.b, Lane::kLarge, 5);
    busy.world.Run(5 * kSecondUs);
    busy.CheckFailed(LaneFailedReason::kHandshake, Lane::kLarge, 5);
  }
  Linked unreachable(1);
  unreachable.world.Cut(unreachable.a, unreachable.b);
  unreachable.Open(unreachable.a, unreachable.b, Lane::kLarge, 6);
  unreachable.a.plane->OnConnectFailed(unreachable.a.dialled.back(), core::GatedReason::kUnreachable,
                                       unreachable.world.now_us);
  unreachable.CheckFailed(LaneFailedReason::kUnreachable, Lane::kLarge, 6);
}

TEST("a lane fails by its handshake on whatever is not the ack that was asked for") {
  using Play = void (*)(Linked&, HandDriven&);
  const Play plays[] = {
      [](Linked&, HandDriven& dial) { dial.End(); },
      [](Linked& pair, HandDriven& dial) {
        dial.Write(FrameKind::kHelloAck, AckBody(pair.b, 8, Lane::kOrdinary));
      },
      [](Linked& pair, HandDriven& dial) {
        dial.Write(FrameKind::kHelloAck, AckBody(pair.b, 7, Lane::kLarge));
      },
      [](Linked& pair, HandDriven& dial) {
        dial.Write(FrameKind::kHelloAck, AckBody(pair.b, 7, Lane::kControl));
      },
      [](Linked&, HandDriven& dial) { dial.Write(FrameKind::kReady, {}); },
      [](Linked&, HandDriven& dial) { dial.Write(std::vector<uint8_t>(100, 0xff)); },
      [](Linked& pair, HandDriven& dial) {
        core::Hello other = HelloOf(pair.b, 7, Lane::kOrdinary);
        other.uid = 0x300;
        dial.Write(FrameKind::kHelloAck, core::EncodeHelloBody(other));
      },
  };
  for (const Play play : plays) {
    Linked pair(1);
    HandDriven dial = pair.OpenByHand(Lane::kOrdinary, 7);
    play(pair, dial);
    // Whatever else comes, the outcome was told.
    dial.Write(FrameKind::kHelloAck, AckBody(pair.b, 7, Lane::kOrdinary));
    dial.End();
    pair.world.Run(5 * kSecondUs);
    pair.CheckFailed(LaneFailedReason::kHandshake, Lane::kOrdinary, 7);
    CHECK(dial.Last().kind == FrameKind::kHello);
  }
  Linked silent(1);
  silent.OpenByHand(Lane::kOrdinary, 7);
  silent.world.Run(5 * kSecondUs);
  silent.CheckFailed(LaneFailedReason::kTimeout, Lane::kOrdinary, 7);
}

TEST("a lane of a peer needs no link here, is never superseded, and teaches no dial number") {
  World world(1);
  WorldNode& a = world.Add(kLow);
  WorldNode& b = world.Add(kHigh);
  HandDriven early(world, a);
  early.WriteHello(HelloOf(b, UINT32_MAX, Lane::kOrdinary));
  CHECK(early.Last().kind == FrameKind::kHelloAck);
  early.Write(FrameKind::kReady, {});
  CHECK(a.lanes.size() == 1 && a.Count(EventType::kLinkUp) == 0);
  for (uint32_t at = 0; at < 3; ++at) {
    a.plane->Connect(b.address, 0, world.now_us);
    world.Run(kSecondUs);
  }
  HandDriven late(world, a);
  late.WriteHello(HelloOf(b, 1, Lane::kOrdinary));
  late.Write(FrameKind::kReady, {});
  CHECK(a.lanes.size() == 2);
  world.Cut(a, b);
  a.plane->Probe(b.uid, b.address, world.now_us);
  world.Run(core::limits::kBackoffFloorMs * 1000);
  const std::optional<core::Hello> hello = core::DecodeHelloBody(HandDriven::LastDial(world, a).Last().body);
  CHECK(hello.has_value() && hello->dial == 2 && hello->lane == Lane::kControl);
}

TEST("what is not a lane's hello and ready ends that connection and nothing else") {
  struct Attempt {
    FrameKind kind;
    std::vector<uint8_t> body;
    BadInputReason expected;
  };
  const core::GoodbyeBody goodbye{core::GoodbyeReason::kShutdown};
  std::vector<uint8_t> quarantined(sizeof(core::QuarantineBody));
  core::Store(quarantined.data(), core::QuarantineBody{kLow, core::QuarantineReason::kOperator, {}});
  const std::vector<Attempt> attempts = {
      {FrameKind::kMessage, {1, 2, 3}, BadInputReason::kUnexpectedFrame},
      {FrameKind::kHello, AckBody(Linked(1).b, 1, Lane::kLarge), BadInputReason::kUnexpectedFrame},
      {FrameKind::kQuarantined, quarantined, BadInputReason::kUnexpectedFrame},
      {FrameKind::kMessage, std::vector<uint8_t>(3000), BadInputReason::kFrameTooLarge},
  };
  for (const Attempt& attempt : attempts) {
    Linked pair(1);
    HandDriven lane(pair.world, pair.a);
    lane.WriteHello(HelloOf(pair.b, 1, Lane::kLarge));
    lane.Write(attempt.kind, attempt.body);
    CHECK(pair.a.counters.Get(attempt.expected) == 1 && pair.a.Count(EventType::kQuarantinedBy) == 0);
    // The rest of the stream is not even looked at.
    lane.Write(std::vector<uint8_t>(5000, 0xff));
    CHECK(pair.a.Count(EventType::kBadInput) == 1 && pair.a.lanes.empty());
    pair.CheckLinkUntouched();
  }
  Linked pair(1);
  HandDriven unknown(pair.world, pair.a);
  unknown.WriteHello(HelloOf(pair.b, 1, static_cast<Lane>(3)));
  CHECK(unknown.Refusal() == core::RefusalReason::kMalformed);
  CHECK(pair.a.counters.Get(BadInputReason::kBadHello) == 1);
  HandDriven leaving(pair.world, pair.a);
  leaving.WriteHello(HelloOf(pair.b, 1, Lane::kLarge));
  leaving.Write(core::EncodeFrame(FrameKind::kGoodbye, 0, 0, goodbye));
  HandDriven slow(pair.world, pair.a);
  slow.WriteHello(HelloOf(pair.b, 1, Lane::kLarge));
  pair.world.Run(uint64_t{core::limits::kHandshakeTimeoutMs} * 1000);
  CHECK(pair.a.counters.Get(BadInputReason::kHandshakeTimeout) == 1);
  CHECK(pair.a.Count(EventType::kBadInput) == 2 && pair.a.lanes.empty());
  pair.CheckLinkUntouched();
}

TEST("a handshake that is handed over leaves the count of those that wait") {
  World world(1);
  WorldNode& a = world.Add(kLow);
  WorldNode& b = world.Add(kHigh);
  for (uint32_t at = 0; at < 2 * core::limits::kPendingHandshakesMax; ++at) {
    HandDriven lane(world, a);
    lane.WriteHello(HelloOf(b, at + 1, Lane::kOrdinary));
    lane.Write(FrameKind::kReady, {});
  }
  CHECK(a.lanes.size() == 2 * core::limits::kPendingHandshakesMax);
  CHECK(a.counters.Get(BadInputReason::kTooManyConnections) == 0);
}

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
  pair.a.plane->Close(pair.world.now_us);
  pair.Open(pair.a, pair.b, Lane::kLarge, 2);
  accepted.Write(FrameKind::kReady, {});
  greeted.Write(FrameKind::kHelloAck, AckBody(pair.b, 1, Lane::kOrdinary));
  pair.world.Run(uint64_t{core::limits::kDrainTimeoutMs} * 1000);
  CHECK(pair.a.plane->Drained() && pair.a.lanes.empty() && pair.a.events.size() == events);
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
  // All others have timed out.
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
