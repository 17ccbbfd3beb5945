// Beats in both directions, the clock of the detectors, and the verdicts: silence, gone, stalled, trusted
// again.
#include <algorithm>

#include "control_plane.h"
#include "limits.h"
#include "pause_meter.h"

namespace skein::core {

// Time as the detectors see it: our own pauses are left out.
double ControlPlane::DetectorMs(uint64_t now_us) const {
  return static_cast<double>(now_us - pause_offset_us_) / 1000;
}

void ControlPlane::OnPaused(uint64_t gap_us) {
  Collect();
  const uint64_t excess_us = PauseMeter::ExcessUs(gap_us);
  pause_offset_us_ += excess_us;
  const double gap_ms = static_cast<double>(gap_us) / 1000;
  counters_->Add(Counter::kSelfPauses);
  counters_->Add(Counter::kSelfPausedMs, excess_us / 1000);
  Event event{.type = EventType::kPaused};
  event.ms = gap_ms;
  Emit(event);
}

// --- as the subject

void ControlPlane::OnWatchFrame(Connection& connection, const FrameView& frame, uint64_t now_us) {
  WatchBody body;
  if (!frame.Read(&body)) return BadInput(connection, BadInputReason::kFrameTooShort, now_us);
  if (body.interval_ms == 0) {
    connection.beat_interval_ms = 0;
    deadlines_.Clear({DeadlineKind::kBeat, connection.id});
    if (Pair* pair = PairLinkedBy(connection)) CloseIfUnwanted(*pair, now_us);
    return;
  }
  constexpr uint64_t kIntervalMinUs = uint64_t{limits::kBeatIntervalMinMs} * 1000;
  connection.beat_interval_ms = std::max(body.interval_ms, limits::kBeatIntervalMinMs);
  // At once, but never faster than the shortest interval, however often we are asked.
  const bool beat_before = connection.last_beat_us != 0;
  connection.beat_due_us = std::max(now_us, beat_before ? connection.last_beat_us + kIntervalMinUs : 0);
  if (connection.beat_due_us == now_us) return Beat(connection, now_us);
  deadlines_.Set({DeadlineKind::kBeat, connection.id}, connection.beat_due_us);
}

void ControlPlane::Beat(Connection& connection, uint64_t now_us) {
  // The watch was withdrawn after this beat was planned.
  if (connection.beat_interval_ms == 0) return;
  // Asked even when the beat is skipped: asking is what pings the loop.
  const uint32_t loop_age_ms = effects_->LoopAgeMs(now_us);
  // A beat behind an unsent beat would only tell the observer later what it does not know now.
  if (connection.beat_end > effects_->WrittenBytes(connection.id)) {
    counters_->Add(Counter::kBeatsSkipped);
  } else {
    const uint32_t sequence = ++connection.beat_sequence;
    const bool echo = sequence % std::max(options_.heartbeat.echo_every, 1u) == 0;
    const HeartbeatBody body{now_us, loop_age_ms, connection.beat_interval_ms};
    WriteStruct(connection, FrameKind::kHeartbeat, echo ? kFlagEchoWanted : 0, sequence, body);
    connection.beat_end = connection.queued_end;
    connection.last_beat_us = now_us;
    counters_->Add(Counter::kBeatsOut);
  }
  // On the grid of the first beat, so that lateness does not add up; turns that were missed are left out.
  const uint64_t interval_us = uint64_t{connection.beat_interval_ms} * 1000;
  connection.beat_due_us += interval_us;
  if (connection.beat_due_us <= now_us) connection.beat_due_us = now_us + interval_us;
  deadlines_.Set({DeadlineKind::kBeat, connection.id}, connection.beat_due_us);
}

void ControlPlane::OnEcho(Connection& connection, const FrameView& frame, uint64_t now_us) {
  HeartbeatBody body;
  if (!frame.Read(&body)) return BadInput(connection, BadInputReason::kFrameTooShort, now_us);
  counters_->Add(Counter::kEchoesIn);
  Pair* pair = PairLinkedBy(connection);
  if (pair == nullptr) return;
  // Only an answer to a beat of this connection measures anything.
  const bool ours = frame.header.sequence != 0 && frame.header.sequence <= connection.beat_sequence;
  if (ours && body.sent_us <= now_us) pair->rtt_ms = static_cast<double>(now_us - body.sent_us) / 1000;
  NoteLoopAge(*pair, body.loop_age_ms);
}

// --- as the observer

void ControlPlane::AskForBeats(Pair& pair) {
  pair.awaits_first_beat = true;
  // Without a link it is asked as soon as there is one.
  if (Connection* link = LinkOf(pair)) {
    WriteStruct(*link, FrameKind::kWatch, 0, 0, WatchBody{options_.heartbeat.interval_ms});
  }
}

void ControlPlane::StopWatching(Pair& pair, uint64_t now_us) {
  Connection* link = LinkOf(pair);
  if (link != nullptr && link->phase == Phase::kComplete) {
    WriteStruct(*link, FrameKind::kWatch, 0, 0, WatchBody{0});
  }
  pair.watched = false;
  pair.detector.reset();
  // A later watch starts with a clean slate and a new detector.
  pair.silent = pair.gone = pair.gone_raised = pair.stalled = pair.dial_beside = false;
  deadlines_.Clear({DeadlineKind::kSilence, pair.uid});
  deadlines_.Clear({DeadlineKind::kWatchStart, pair.uid});
  Target* target = FindTarget(pair.watch_target_id);
  pair.watch_target_id = 0;
  if (target != nullptr) {
    std::erase(target->watches, pair.uid);
    AbandonDial(*target, false, now_us);
    Reconsider(*target, DialTime::kBackoff, now_us);
  }
  CloseIfUnwanted(pair, now_us);
}

// As if a beat had just arrived.
void ControlPlane::StartDetector(Pair& pair, uint64_t now_us) {
  deadlines_.Clear({DeadlineKind::kWatchStart, pair.uid});
  if (pair.detector.has_value()) return;
  const HeartbeatOptions& heartbeat = options_.heartbeat;
  PhiOptions phi;
  phi.threshold = heartbeat.phi_threshold;
  phi.interval_ms = heartbeat.interval_ms;
  phi.acceptable_pause_ms = heartbeat.acceptable_pause_ms;
  phi.min_std_deviation_ms = heartbeat.min_std_deviation_ms;
  phi.window_size = heartbeat.window_size;
  pair.detector.emplace(phi);
  pair.detector->Heartbeat(DetectorMs(now_us));
  PlanSilence(pair, now_us);
}

void ControlPlane::OnHeartbeat(Connection& connection, const FrameView& frame, uint64_t now_us) {
  HeartbeatBody body;
  if (!frame.Read(&body)) return BadInput(connection, BadInputReason::kFrameTooShort, now_us);
  counters_->Add(Counter::kBeatsIn);
  if ((frame.header.flags & kFlagEchoWanted) != 0) AnswerEcho(connection, frame, body, now_us);
  Pair* pair = PairLinkedBy(connection);
  if (pair == nullptr || !pair->watched || !pair->detector.has_value()) return;
  const double now_ms = DetectorMs(now_us);
  // Before the detector learns of the beat, so that phi and silence are those that the beat ends.
  if (pair->Suspected()) EmitSuspicion(*pair, false, SuspicionCause::kSilence, now_us);
  // An outage, or the time a dial took, is not the rhythm of the link.
  pair->detector->Heartbeat(now_ms, !pair->Suspected() && !pair->awaits_first_beat);
  pair->silent = pair->gone = pair->awaits_first_beat = false;
  if (pair->dial_beside) {
    pair->dial_beside = false;
    if (Target* target = FindTarget(pair->watch_target_id)) {
      AbandonDial(*target, false, now_us);
      Reconsider(*target, DialTime::kBackoff, now_us);
    }
  }
  PlanSilence(*pair, now_us);
  NoteLoopAge(*pair, body.loop_age_ms);
}

void ControlPlane::AnswerEcho(Connection& connection, const FrameView& frame, const HeartbeatBody& beat,
                              uint64_t now_us) {
  // One unsent echo is enough: a peer that asks without reading must not fill our outbox.
  if (connection.echo_end > effects_->WrittenBytes(connection.id)) {
    counters_->Add(Counter::kEchoesSkipped);
    return;
  }
  HeartbeatBody echo = beat;
  echo.loop_age_ms = effects_->LoopAgeMs(now_us);
  WriteStruct(connection, FrameKind::kEcho, 0, frame.header.sequence, echo);
  connection.echo_end = connection.queued_end;
  counters_->Add(Counter::kEchoesOut);
}

void ControlPlane::PlanSilence(const Pair& pair, uint64_t now_us) {
  if (pair.silent || !pair.detector.has_value()) return;
  const double left_ms = pair.detector->SuspectAfterMs() - pair.detector->SilentMs(DetectorMs(now_us));
  // Rounded up, and never now: the deadline must not fire before phi is there, nor twice in one turn.
  const auto left_us = static_cast<uint64_t>(std::max(left_ms, 0.0) * 1000) + 1000;
  deadlines_.Set({DeadlineKind::kSilence, pair.uid}, now_us + left_us);
}

void ControlPlane::CheckSilence(Pair& pair, uint64_t now_us) {
  if (!pair.watched || pair.silent || !pair.detector.has_value()) return;
  const double now_ms = DetectorMs(now_us);
  // Not yet, when a pause of our own was left out since this was planned.
  if (pair.detector->Phi(now_ms) < options_.heartbeat.phi_threshold) return PlanSilence(pair, now_us);
  pair.silent = true;
  EmitSuspicion(pair, true, SuspicionCause::kSilence, now_us);
  // Healing must not wait for TCP's retransmission timer: a second socket beside the silent one.
  pair.dial_beside = pair.link != 0;
  if (Target* target = FindTarget(pair.watch_target_id))
    Reconsider(*target, DialTime::kUnlessPlanned, now_us);
}

void ControlPlane::RaiseGone(Pair& pair, uint64_t now_us) {
  if (pair.gone_raised) return;
  pair.gone_raised = pair.gone = true;
  EmitSuspicion(pair, true, SuspicionCause::kGone, now_us);
}

void ControlPlane::EmitSuspicion(const Pair& pair, bool suspected, SuspicionCause cause, uint64_t now_us) {
  Event event{.type = EventType::kSuspicion, .reason = static_cast<uint8_t>(cause), .on = suspected};
  event.uid = pair.uid;
  event.phi = pair.detector.has_value() ? pair.detector->Phi(DetectorMs(now_us)) : 0;
  event.ms = pair.detector.has_value() ? pair.detector->SilentMs(DetectorMs(now_us)) : 0;
  Emit(event);
}

void ControlPlane::NoteLoopAge(Pair& pair, uint32_t loop_age_ms) {
  pair.loop_age_ms = loop_age_ms;
  const bool stalled = loop_age_ms >= options_.heartbeat.stalled_after_ms;
  // An edge, and only of peers that are watched; the age itself is always kept for `peers`.
  if (!pair.watched || stalled == pair.stalled) return;
  Event event{.type = EventType::kStalled, .on = stalled};
  event.uid = pair.uid;
  event.ms = loop_age_ms;
  // The peer sets their pace: one that a full inbox did not take comes again with the next beat.
  if (Emit(event)) pair.stalled = stalled;
}

}  // namespace skein::core
