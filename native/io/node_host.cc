// Commands from JavaScript, effects of the control plane, and the life of one transport on the control
// thread.
#include "node_host.h"

#include <utility>

#include "../core/limits.h"

namespace skein::io {

NodeHost::NodeHost(NodeOptions options, ControlThread* thread, JsLoop* js_loop, uint8_t* ring,
                   uint32_t ring_bytes)
    : options_(std::move(options)), thread_(thread), js_loop_(js_loop), ring_(ring, ring_bytes) {}

NodeHost::~NodeHost() = default;

// ------------------------------------------------------------------ JavaScript thread

void NodeHost::Enqueue(Command command) {
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    commands_.push_back(std::move(command));
  }
  has_commands_.store(true, std::memory_order_release);
  thread_->Wake();
}

void NodeHost::Start() {
  // Attached before the first command, so that a wake-up finds it.
  thread_->Call([this] { thread_->Attach(shared_from_this()); });
  Enqueue({.kind = CommandKind::kStart});
}

void NodeHost::Connect(const core::Endpoint& address, core::Uid uid) {
  Enqueue({.kind = CommandKind::kConnect, .uid = uid, .address = address});
}

void NodeHost::Disconnect(const core::Endpoint& address) {
  Enqueue({.kind = CommandKind::kDisconnect, .address = address});
}

SendResult NodeHost::Send(core::Uid uid, core::Bytes bytes) {
  // Judged and queued under one lock, so that what is answered is what happens: a link that is known here
  // takes the message, and its bytes count from now on.
  const uint64_t size = core::kOverheadBytes + bytes.size();
  // Copied before the lock is taken: the control thread takes it at every link event.
  std::vector<uint8_t> copy(bytes.begin(), bytes.end());
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    const auto entry = gates_.find(uid);
    if (entry == gates_.end()) {
      counters_.Add(core::Counter::kSendNoLink);
      return SendResult::kNoLink;
    }
    const std::shared_ptr<Gate>& gate = entry->second;
    if (gate->queued_bytes.load(std::memory_order_relaxed) + size > core::limits::kControlOutboxBytesMax) {
      counters_.Add(core::Counter::kSendOutboxFull);
      return SendResult::kOutboxFull;
    }
    gate->queued_bytes.fetch_add(size, std::memory_order_relaxed);
    commands_.push_back(
        {.kind = CommandKind::kSend, .uid = uid, .bytes = std::move(copy), .gate = gate});
  }
  has_commands_.store(true, std::memory_order_release);
  thread_->Wake();
  return SendResult::kSent;
}

void NodeHost::Watch(core::Uid uid, const core::Endpoint& address) {
  Enqueue({.kind = CommandKind::kWatch, .uid = uid, .address = address});
}

void NodeHost::Unwatch(core::Uid uid) { Enqueue({.kind = CommandKind::kUnwatch, .uid = uid}); }

void NodeHost::Probe(core::Uid uid, const core::Endpoint& address) {
  Enqueue({.kind = CommandKind::kProbe, .uid = uid, .address = address});
}

void NodeHost::Quarantine(core::Uid uid, core::QuarantineReason reason) {
  {
    // Nothing is sent to it from this call on, whenever the control thread hears of it.
    const std::lock_guard<std::mutex> lock(mutex_);
    gates_.erase(uid);
  }
  Enqueue({.kind = CommandKind::kQuarantine, .uid = uid, .reason = reason});
}

void NodeHost::OpenLane(core::Uid uid, core::Lane lane, uint32_t dial) {
  Enqueue({.kind = CommandKind::kOpenLane, .uid = uid, .lane = lane, .dial = dial});
}

HandedOver NodeHost::TakeHandOver(core::ConnectionId id) {
  const std::lock_guard<std::mutex> lock(mutex_);
  auto entry = hand_overs_.extract(id);
  return entry.empty() ? HandedOver() : std::move(entry.mapped());
}

void NodeHost::Close() {
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    gates_.clear();
  }
  Enqueue({.kind = CommandKind::kClose});
}

void NodeHost::Abandon() {
  thread_->Call([this] {
    // No goodbye: the ring and the JavaScript loop are about to go, and what is not said now cannot be said.
    finished_ = true;
    CloseListener();
    sockets_.clear();
    plane_.reset();
    thread_->Detach(this);
  });
  const std::lock_guard<std::mutex> lock(mutex_);
  hand_overs_.clear();
}

void NodeHost::WakeAgain() {
  if (!wake_pending_.exchange(true, std::memory_order_acq_rel)) js_loop_->Wake();
}

std::vector<HostPeer> NodeHost::Peers() {
  std::vector<HostPeer> peers;
  thread_->Call([this, &peers] {
    if (plane_ == nullptr) return;
    for (core::PeerStatus& status : plane_->Peers(thread_->Now())) peers.push_back({std::move(status)});
  });
  const std::lock_guard<std::mutex> lock(mutex_);
  for (HostPeer& peer : peers) {
    const auto gate = gates_.find(peer.status.uid);
    if (gate != gates_.end()) peer.outbox_bytes = gate->second->queued_bytes.load();
  }
  return peers;
}

// ------------------------------------------------------------------ control thread

void NodeHost::RunCommands(uint64_t now_us) {
  if (!has_commands_.exchange(false, std::memory_order_acquire)) return;
  std::vector<Command> commands;
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    // Run outside of the lock, so that `send` never waits for the control plane.
    commands.swap(commands_);
  }
  for (Command& command : commands) {
    // While the host to listen on is being resolved there is nobody to do what is asked; except to close.
    if (resolve_ != nullptr && command.kind != CommandKind::kClose) {
      early_.push_back(std::move(command));
    } else {
      Run(command, now_us);
    }
  }
}

void NodeHost::RunEarlyCommands(uint64_t now_us) {
  for (const Command& command : std::exchange(early_, {})) Run(command, now_us);
}

void NodeHost::Run(const Command& command, uint64_t now_us) {
  if (command.kind == CommandKind::kStart) return Listen();
  if (command.kind == CommandKind::kClose) {
    closing_ = true;
    CloseListener();
    if (plane_ != nullptr) plane_->Close(now_us);
    return;
  }
  const auto uncounted = core::kOverheadBytes + command.bytes.size();
  if (plane_ != nullptr) {
    switch (command.kind) {
      case CommandKind::kConnect:
        plane_->Connect(command.address, command.uid, now_us);
        break;
      case CommandKind::kDisconnect:
        plane_->Disconnect(command.address, now_us);
        break;
      case CommandKind::kSend:
        plane_->Send(command.uid, command.bytes, now_us);
        break;
      case CommandKind::kWatch:
        plane_->Watch(command.uid, command.address, now_us);
        break;
      case CommandKind::kUnwatch:
        plane_->Unwatch(command.uid, now_us);
        break;
      case CommandKind::kProbe:
        plane_->Probe(command.uid, command.address, now_us);
        break;
      case CommandKind::kQuarantine:
        plane_->Quarantine(command.uid, command.reason, now_us);
        break;
      case CommandKind::kOpenLane:
        plane_->OpenLane(command.uid, command.lane, command.dial, now_us);
        break;
      case CommandKind::kStart:
      case CommandKind::kClose:
        break;
    }
  }
  // From here on the socket's own queue counts it.
  if (command.gate != nullptr) command.gate->queued_bytes.fetch_sub(uncounted, std::memory_order_relaxed);
}

void NodeHost::OnPaused(uint64_t gap_us) {
  if (plane_ != nullptr) plane_->OnPaused(gap_us);
}

void NodeHost::OnDeadline(uint64_t now_us) {
  if (plane_ != nullptr) plane_->OnDeadline(now_us);
}

void NodeHost::Settle(uint64_t now_us) {
  // Reported here and not from within Dial, which the control plane has called.
  for (const auto& [id, reason] : std::exchange(failed_connects_, {})) {
    plane_->OnConnectFailed(id, reason, now_us);
  }
  for (const core::ConnectionId id : std::exchange(dirty_, {})) {
    if (Socket* socket = FindSocket(id)) socket->Flush();
  }
  ResumeAcceptingIfDue(now_us);
  MaybeFinish();
  if (!std::exchange(wake_wanted_, false)) return;
  // One wake-up for everything that JavaScript has not looked at yet.
  if (wake_pending_.exchange(true, std::memory_order_acq_rel)) return;
  counters_.Add(core::Counter::kWakeups);
  js_loop_->Wake();
}

void NodeHost::MaybeFinish() {
  // Closed means that every socket is: after that the address can be listened on again.
  if (!closing_ || finished_ || resolve_ != nullptr) return;
  if (plane_ != nullptr && !(plane_->Drained() && sockets_.empty())) return;
  finished_ = true;
  plane_.reset();
  Emit({.type = core::EventType::kClosed});
}

Socket* NodeHost::FindSocket(core::ConnectionId id) const {
  const auto entry = sockets_.find(id);
  return entry == sockets_.end() ? nullptr : entry->second.get();
}

// ------------------------------------------------------------------ effects

void NodeHost::Dial(core::ConnectionId id, const core::Endpoint& to) {
  auto socket = std::make_unique<Socket>(thread_->Loop(), this, id);
  Socket* dialling = socket.get();
  sockets_[id] = std::move(socket);
  dialling->Connect(to);
}

uint64_t NodeHost::Write(core::ConnectionId id, core::Bytes head, core::Bytes body) {
  Socket* socket = FindSocket(id);
  return socket == nullptr ? 0 : socket->Write(head, body);
}

uint64_t NodeHost::WrittenBytes(core::ConnectionId id) const {
  const Socket* socket = FindSocket(id);
  return socket == nullptr ? 0 : socket->WrittenBytes();
}

void NodeHost::Shutdown(core::ConnectionId id) {
  if (Socket* socket = FindSocket(id)) socket->Shutdown();
}

void NodeHost::Reset(core::ConnectionId id) {
  if (Socket* socket = FindSocket(id)) socket->ResetOnClose();
}

void NodeHost::Destroy(core::ConnectionId id) { sockets_.erase(id); }

void NodeHost::HandOver(core::ConnectionId id, const core::LaneHandOver& lane, core::Bytes unread) {
  HandedOver handed;
  if (Socket* socket = FindSocket(id)) handed.socket = socket->HandOver();
  handed.unread.Assign(unread);
  // This loop's handle goes first, so that the socket is in one poll set at a time.
  sockets_.erase(id);
  core::Event event{.type = core::EventType::kLaneOpened, .attempts = lane.dial};
  event.lane = lane.lane;
  if (handed.socket.IsOpen() && KeepHandOver(id, std::move(handed))) {
    event.connection = id;
    event.dialler = lane.dialler;
    event.peer = &lane.peer;
  } else {
    // The acceptor's JavaScript never hears of it; its peer's finds the socket closed.
    const bool dialled = lane.dialler == options_.plane.uid;
    counters_.Add(dialled ? core::Counter::kLaneDialsFailed : core::Counter::kAcceptsFailed);
    if (!dialled) return;
    event.type = core::EventType::kLaneFailed;
    event.reason = static_cast<uint8_t>(core::LaneFailedReason::kHandshake);
    event.uid = lane.peer.uid;
  }
  Emit(event);
}

// False when JavaScript has left too many lying already.
bool NodeHost::KeepHandOver(core::ConnectionId id, HandedOver handed) {
  const std::lock_guard<std::mutex> lock(mutex_);
  if (hand_overs_.size() >= core::limits::kHandOversMax) return false;
  hand_overs_.emplace(id, std::move(handed));
  return true;
}

bool NodeHost::Emit(const core::Event& event) {
  // Before JavaScript hears of it: whoever reacts to linkUp by sending finds the link.
  if (event.type == core::EventType::kLinkUp) OpenGate(event);
  if (event.type == core::EventType::kLinkDown) {
    const std::lock_guard<std::mutex> lock(mutex_);
    gates_.erase(event.uid);
  }
  wake_wanted_ = true;
  if (ring_.Put(event)) return true;
  if (event.type != core::EventType::kMessage) counters_.Add(core::Counter::kEventsDropped);
  return false;
}

void NodeHost::OpenGate(const core::Event& link_up) {
  const std::lock_guard<std::mutex> lock(mutex_);
  // A socket that replaces another goes on with its gate: what the former still holds counts until it is
  // written.
  std::shared_ptr<Gate>& gate = gates_[link_up.uid];
  if (gate == nullptr) gate = std::make_shared<Gate>();
  if (Socket* socket = FindSocket(link_up.connection)) socket->AttachGate(gate);
}

uint32_t NodeHost::LoopAgeMs(uint64_t now_us) { return js_loop_->PingAndAge(thread_->AwakeUs(now_us)); }

// ------------------------------------------------------------------ sockets

void NodeHost::OnSocketConnected(Socket& socket) {
  const uint64_t now_us = thread_->Now();
  plane_->OnConnected(socket.Id(), now_us);
}

void NodeHost::OnSocketData(Socket& socket, core::Bytes bytes) {
  const uint64_t now_us = thread_->Now();
  plane_->OnData(socket.Id(), bytes, now_us);
}

void NodeHost::OnSocketEnd(Socket& socket, core::EndKind kind) {
  const uint64_t now_us = thread_->Now();
  plane_->OnEnd(socket.Id(), kind, now_us);
}

void NodeHost::OnSocketDirty(Socket& socket) { dirty_.push_back(socket.Id()); }

void NodeHost::OnSocketConnectFailed(Socket& socket, core::GatedReason reason) {
  failed_connects_.emplace_back(socket.Id(), reason);
}

}  // namespace skein::io
