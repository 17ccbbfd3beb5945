// The state of a control plane: one Connection per socket, one Pair per incarnation, one Target per address.
// Plain data; the rules are in `control_plane*.cc`.
#pragma once

#include <cmath>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <tuple>
#include <vector>

#include "backoff.h"
#include "effects.h"
#include "frame.h"
#include "phi_accrual.h"

namespace skein::core {

enum class Phase : uint8_t {
  kConnecting,  // dialled: connect is pending
  kHelloSent,   // dialled: waits for helloAck or refusal
  kAwaitHello,  // accepted: nothing heard yet
  kAwaitReady,  // accepted: helloAck written
  kComplete,    // handshake done on our side; the pair's link unless superseded
  kClosing,     // our side is shut down, reading to EOF
};

// What still counts of what arrives on a closing connection.
enum class Draining : uint8_t {
  kDrop,        // nothing; messages are counted
  kDeliver,     // messages: the socket was superseded, the pair lives on
  kUnreadable,  // nothing is even parsed: the stream is broken
};

// Orders the links of a pair: dial number first, then the dialler's uid.
struct LinkRank {
  uint32_t dial = 0;
  Uid dialler = 0;

  friend auto operator<=>(const LinkRank&, const LinkRank&) = default;

  // Whether a socket of this rank, come later, takes the place of one of that rank. Where numbers have come
  // to an end nobody can draw a higher one: then a side may at least replace its own.
  bool Outranks(const LinkRank& former) const {
    return *this > former || (*this == former && dial == UINT32_MAX);
  }
};

// What both ends have said so far, over which they prove that they share a secret.
struct Admission {
  std::vector<uint8_t> transcript;
  size_t secret = 0;  // dialled: which of ours the acceptor has proved to know
};

struct Connection {
  ConnectionId id = 0;
  Phase phase = Phase::kConnecting;
  bool dialled = false;
  // What it is, or will be once its handshake is complete.
  Lane lane = Lane::kControl;
  // A lane dialled from here whose outcome is not told yet: where to.
  std::unique_ptr<Endpoint> lane_address;
  // From the hello to the end of the handshake, with secrets.
  std::unique_ptr<Admission> admission;
  // Dialled: the target (0: none, it is a lane), and the incarnation meant (0: any).
  uint64_t target_id = 0;
  Uid expected = 0;
  LinkRank rank;
  PeerIdentity peer;  // uid 0 until its hello is known
  std::string remote;
  bool counts_as_pending = false;  // accepted and never completed, until it is destroyed
  uint32_t session = 0;
  FrameReader reader;
  Draining draining = Draining::kDrop;
  // The peer said goodbye(superseded): its better socket is on the way.
  bool peer_superseded = false;
  // EOF arrived while that better socket's `ready` is still to come; the link is held until then.
  bool held = false;

  uint32_t beat_interval_ms = 0;  // 0: nobody watches us here
  uint64_t beat_due_us = 0;
  uint64_t last_beat_us = 0;
  uint32_t beat_sequence = 0;
  uint32_t message_sequence = 0;
  // Queue positions after the last frame, beat and echo: unwritten while above WrittenBytes.
  uint64_t queued_end = 0;
  uint64_t beat_end = 0;
  uint64_t echo_end = 0;
};

struct Pair {
  Uid uid = 0;
  ConnectionId link = 0;
  uint32_t session = 0;
  uint32_t dial_highest = 0;
  PeerIdentity peer;  // as of the last completed handshake; address of the watch before that
  // Whether a link to it was ever complete.
  bool Heard() const { return session > 0; }
  // `disconnect` was called, but one end still watches the other: closed when neither does.
  bool unwanted = false;

  bool watched = false;
  uint64_t watch_target_id = 0;
  std::optional<PhiAccrual> detector;
  bool silent = false;            // suspicion(silence) raised and not yet withdrawn
  bool gone = false;              // suspicion(gone) raised and not yet withdrawn
  bool gone_raised = false;       // since the link was last complete
  bool awaits_first_beat = true;  // of the session: the interval it ends measures the dial
  bool dial_beside = false;       // silent on a link that still stands: a second socket is wanted
  bool stalled = false;
  uint32_t loop_age_ms = 0;
  double rtt_ms = std::nan("");
  uint64_t last_use = 0;  // order in which idle pairs are forgotten

  bool Suspected() const { return silent || gone; }
  // Whether a dial to its address would serve a watch on it.
  bool WantsDial() const { return link == 0 || dial_beside; }
};

// A probe that waits for the outcome of a dial to its address.
struct PendingProbe {
  Uid uid = 0;
  bool dialed = false;  // the dial in flight began after the question was asked
  uint64_t first_refused_us = 0;
};

struct Target {
  uint64_t id = 0;
  Endpoint address;
  bool connect = false;
  Uid connect_uid = 0;  // 0: any incarnation will do
  std::vector<Uid> watches;
  std::vector<PendingProbe> probes;
  // Who was last heard to live there.
  Uid answered_by = 0;
  ConnectionId dial = 0;
  uint32_t attempts = 0;
  uint32_t superseded_retries = 0;
  // First of a row of refused connections; 0: none.
  uint64_t first_refused_us = 0;
  uint64_t last_dial_us = 0;
  // Highest dial number heard of here.
  uint32_t dial_highest = 0;
  // A final refusal by `blocked_by`: no dial until another incarnation is asked for.
  bool blocked = false;
  Uid blocked_by = 0;
  Backoff backoff;

  explicit Target(uint64_t backoff_min_us) : backoff(backoff_min_us) {}
  bool Wanted() const { return connect || !watches.empty(); }
};

enum class DeadlineKind : uint8_t {
  kConnection,  // connect and handshake, handshake, or drain: whatever the phase waits for
  kDial,        // next dial of a target
  kBeat,        // next beat on a connection
  kSilence,     // when the detector of a pair would cross its threshold
  kWatchStart,  // a watched pair without a link gets its detector
};

struct DeadlineKey {
  DeadlineKind kind;
  uint64_t id;

  friend auto operator<=>(const DeadlineKey&, const DeadlineKey&) = default;
};

}  // namespace skein::core
