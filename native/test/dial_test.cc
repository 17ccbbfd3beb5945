// Dial numbers, and what a dial may be taken as an answer to.
#include "../core/limits.h"
#include "lane_rig.h"

namespace skein::test {
namespace {

using core::EventType;
using core::FrameKind;
using core::GatedReason;
using core::Lane;
using core::ProbeOutcome;

constexpr uint64_t kSpacingUs = uint64_t{core::limits::kBackoffFloorMs} * 1000;

// The number of the next hello that `node` writes, asked for by a probe.
uint32_t NextDialTo(Linked& pair) {
  pair.world.Cut(pair.a, pair.b);
  pair.a.plane->Probe(pair.b.uid, pair.b.address, pair.world.now_us);
  pair.world.Run(kSpacingUs);
  const SeenFrame hello = HandDriven::LastDial(pair.world, pair.a).Last();
  CHECK(hello.kind == FrameKind::kHello);
  return core::DecodeHelloBody(hello.body).value_or(core::Hello()).dial;
}

TEST("a hello that comes to nothing teaches no dial number, one that is completed does") {
  Linked untaught(1);
  HandDriven stray(untaught.world, untaught.a);
  stray.WriteHello(HelloOf(untaught.b, UINT32_MAX, Lane::kControl));
  CHECK(stray.Last().kind == FrameKind::kHelloAck);
  stray.End();
  CHECK(NextDialTo(untaught) == 2);
  Linked taught(1);
  HandDriven genuine(taught.world, taught.a);
  genuine.WriteHello(HelloOf(taught.b, 40, Lane::kControl));
  genuine.Write(FrameKind::kReady, {});
  CHECK(taught.a.Count(EventType::kLinkUp) == 2);
  CHECK(NextDialTo(taught) == 41);
}

TEST("where numbers have come to an end a side may replace its own link, and none of the other's") {
  Linked pair(1);
  for (int round = 0; round < 3; ++round) {
    HandDriven last(pair.world, pair.a);
    last.WriteHello(HelloOf(pair.b, UINT32_MAX, Lane::kControl));
    last.Write(FrameKind::kReady, {});
  }
  CHECK(pair.a.Count(EventType::kLinkUp) == 4 && pair.a.Count(EventType::kLinkDown) == 0);
  HandDriven lower(pair.world, pair.a);
  lower.WriteHello(HelloOf(pair.b, UINT32_MAX - 1, Lane::kControl));
  CHECK(lower.Refusal() == core::RefusalReason::kSuperseded);
  CHECK(NextDialTo(pair) == UINT32_MAX);
  // Below the end an equal number is the same dial, come twice.
  Linked equal(1);
  HandDriven higher(equal.world, equal.a);
  higher.WriteHello(HelloOf(equal.b, 9, Lane::kControl));
  higher.Write(FrameKind::kReady, {});
  HandDriven again(equal.world, equal.a);
  again.WriteHello(HelloOf(equal.b, 9, Lane::kControl));
  CHECK(again.Refusal() == core::RefusalReason::kSuperseded);
}

TEST("a pair whose numbers have come to an end finds together again") {
  for (uint64_t seed = 1; seed <= 60; ++seed) {
    World world(seed);
    WorldNode& a = world.Add(seed % 2 == 0 ? kLow : kHigh);
    WorldNode& b = world.Add(seed % 2 == 0 ? kHigh : kLow);
    // A link of which b knows nothing: its process has forgotten it, say.
    HandDriven last(world, a);
    last.WriteHello(HelloOf(b, UINT32_MAX, Lane::kControl));
    last.Write(FrameKind::kReady, {});
    b.plane->Watch(a.uid, a.address, world.now_us);
    world.Run(kSecondUs);
    CHECK(a.LinkedTo(b.uid, world.now_us) && b.LinkedTo(a.uid, world.now_us));
    for (int outage = 0; outage < 3; ++outage) {
      world.Cut(a, b);
      world.Run(5 * kSecondUs);
      world.Heal(a, b, false);
      world.Run(5 * kSecondUs);
      CHECK(b.Last(EventType::kSuspicion) != nullptr && !b.Last(EventType::kSuspicion)->on);
      a.Send(b.uid, "still there");
      world.Run(kSecondUs);
      CHECK(b.Count(EventType::kMessage) == static_cast<size_t>(outage) + 1);
    }
  }
}

// a's dial to b's address is under way when it is asked whether b is there.
struct Asked {
  Asked() : world(1), a(world.Add(kLow)), b(world.Add(kHigh)) {
    world.Cut(a, b);
    a.plane->Connect(b.address, 0, world.now_us);
    world.Run(kSpacingUs);
    CHECK(a.dialled.size() == 1);
    a.plane->Probe(b.uid, b.address, world.now_us);
  }

  void Fail(GatedReason reason) { a.plane->OnConnectFailed(a.dialled.back(), reason, world.now_us); }

  World world;
  WorldNode& a;
  WorldNode& b;
};

TEST("a dial from before the question is no answer to a probe; the next one follows at once") {
  for (const GatedReason reason : {GatedReason::kRefused, GatedReason::kTimeout}) {
    Asked asked;
    asked.Fail(reason);
    CHECK(asked.a.Count(EventType::kProbed) == 0);
    asked.world.Run(kSpacingUs);
    CHECK(asked.a.dialled.size() == 2);
    asked.Fail(GatedReason::kTimeout);
    CHECK(asked.a.Count(EventType::kProbed) == 1);
    CHECK(asked.a.Last(EventType::kProbed)->reason == static_cast<uint8_t>(ProbeOutcome::kUnknown));
  }
}

TEST("gone takes two refusals since the question") {
  Asked asked;
  asked.Fail(GatedReason::kRefused);
  // The second refusal comes late enough to confirm the first, if that one counted.
  asked.world.Run(kSpacingUs + 60'000);
  CHECK(asked.a.dialled.size() == 2);
  asked.Fail(GatedReason::kRefused);
  CHECK(asked.a.Count(EventType::kProbed) == 0);
  asked.world.Run(50'000);
  CHECK(asked.a.dialled.size() == 3);
  asked.Fail(GatedReason::kRefused);
  CHECK(asked.a.Count(EventType::kProbed) == 1);
  CHECK(asked.a.Last(EventType::kProbed)->reason == static_cast<uint8_t>(ProbeOutcome::kGone));
}

TEST("an answer is one, whichever dial it came to") {
  Asked asked;
  HandDriven dial = HandDriven::LastDial(asked.world, asked.a);
  dial.Write(FrameKind::kHelloAck, AckBody(asked.b, 1, Lane::kControl));
  CHECK(asked.a.Count(EventType::kProbed) == 1);
  CHECK(asked.a.Last(EventType::kProbed)->reason == static_cast<uint8_t>(ProbeOutcome::kAlive));
}

}  // namespace
}  // namespace skein::test
