// libuv's TCP handle behind Socket. The handle outlives the Socket until libuv has closed it; the pointer
// back is cleared first, so that no callback ever reaches a dead Socket.
#include "socket.h"

#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

#include <algorithm>
#include <cstring>

#include "../core/limits.h"

namespace skein::io {

struct Socket::Handle {
  uv_tcp_t tcp{};
  Socket* socket = nullptr;

  uv_stream_t* Stream() { return reinterpret_cast<uv_stream_t*>(&tcp); }
  static Handle* Of(uv_stream_t* stream) { return static_cast<Handle*>(stream->data); }
};

// Allocated while it is in flight: of most sockets there is none, and thousands are idle.
struct WriteInFlight {
  uv_write_t request{};
  std::vector<uint8_t> chunk;
};

struct Socket::Resolve {
  uv_getaddrinfo_t request{};
  uint16_t port = 0;
  Socket* socket = nullptr;
};

namespace {

core::GatedReason GatedReasonOf(int status) {
  switch (status) {
    case UV_ECONNREFUSED:
      return core::GatedReason::kRefused;
    case UV_ETIMEDOUT:
      return core::GatedReason::kTimeout;
    default:
      return core::GatedReason::kUnreachable;
  }
}

core::EndKind EndKindOf(ssize_t status) {
  if (status == UV_EOF) return core::EndKind::kEof;
  return status == UV_ECONNRESET || status == UV_EPIPE ? core::EndKind::kReset : core::EndKind::kError;
}

// Beats say nothing of a data lane: the kernel ends one that makes no progress.
void SetLaneOptions(int fd) {
  const auto set = [fd](int level, int name, int value) {
    setsockopt(fd, level, name, &value, sizeof(value));
  };
  set(SOL_SOCKET, SO_KEEPALIVE, 1);
#if defined(TCP_USER_TIMEOUT)
  constexpr int kSeconds = core::limits::kLaneUserTimeoutMs / 1000;
  set(IPPROTO_TCP, TCP_USER_TIMEOUT, core::limits::kLaneUserTimeoutMs);
  set(IPPROTO_TCP, TCP_KEEPIDLE, kSeconds);
  set(IPPROTO_TCP, TCP_KEEPINTVL, kSeconds);
#endif
}

void SetPort(sockaddr_storage* address, uint16_t port) {
  if (address->ss_family == AF_INET6) {
    reinterpret_cast<sockaddr_in6*>(address)->sin6_port = htons(port);
  } else {
    reinterpret_cast<sockaddr_in*>(address)->sin_port = htons(port);
  }
}

}  // namespace

bool ParseLiteral(const core::Endpoint& endpoint, sockaddr_storage* address) {
  const char* host = endpoint.host.c_str();
  return uv_ip4_addr(host, endpoint.port, reinterpret_cast<sockaddr_in*>(address)) == 0 ||
         uv_ip6_addr(host, endpoint.port, reinterpret_cast<sockaddr_in6*>(address)) == 0;
}

std::string FormatSockaddr(const sockaddr* address) {
  char host[INET6_ADDRSTRLEN] = "?";
  uv_ip_name(address, host, sizeof(host));
  const uint16_t port = address->sa_family == AF_INET6
                            ? ntohs(reinterpret_cast<const sockaddr_in6*>(address)->sin6_port)
                            : ntohs(reinterpret_cast<const sockaddr_in*>(address)->sin_port);
  return core::FormatEndpoint({host, port});
}

Socket::Socket(uv_loop_t* loop, SocketOwner* owner, core::ConnectionId id)
    : loop_(loop), owner_(owner), id_(id) {}

Socket::~Socket() {
  if (resolve_ != nullptr) {
    resolve_->socket = nullptr;
    // A lookup that runs already ends by itself, and finds nobody.
    uv_cancel(reinterpret_cast<uv_req_t*>(&resolve_->request));
  }
  CloseHandle();
  pending_.clear();
  pending_offset_ = 0;
  if (gate_ != nullptr) gate_->queued_bytes.fetch_sub(gate_counted_, std::memory_order_relaxed);
}

void Socket::OpenHandle() {
  handle_ = new Handle;
  handle_->socket = this;
  uv_tcp_init(loop_, &handle_->tcp);
  handle_->tcp.data = handle_;
}

void Socket::CloseHandle() {
  open_ = false;
  if (handle_ == nullptr) return;
  // Requests in flight are cancelled by the close and answer to the handle only.
  handle_->socket = nullptr;
  uv_close(reinterpret_cast<uv_handle_t*>(&handle_->tcp),
           [](uv_handle_t* handle) { delete static_cast<Handle*>(handle->data); });
  handle_ = nullptr;
}

void Socket::Connect(const core::Endpoint& to) {
  sockaddr_storage literal{};
  // Literals never reach the resolver's threads.
  if (ParseLiteral(to, &literal)) {
    candidates_.push_back(literal);
    ConnectNext();
    return;
  }
  resolve_ = new Resolve;
  resolve_->port = to.port;
  resolve_->socket = this;
  resolve_->request.data = resolve_;
  addrinfo hints{};
  hints.ai_family = AF_UNSPEC;
  hints.ai_socktype = SOCK_STREAM;
  const auto on_resolved = [](uv_getaddrinfo_t* request, int status, addrinfo* found) {
    const std::unique_ptr<Resolve> resolve(static_cast<Resolve*>(request->data));
    Socket* self = resolve->socket;
    if (self != nullptr) {
      self->resolve_ = nullptr;
      for (const addrinfo* at = found; status == 0 && at != nullptr; at = at->ai_next) {
        if (at->ai_addrlen > sizeof(sockaddr_storage)) continue;
        if (self->candidates_.size() == core::limits::kResolvedAddressesMax) break;
        sockaddr_storage address{};
        std::memcpy(&address, at->ai_addr, at->ai_addrlen);
        SetPort(&address, resolve->port);
        self->candidates_.push_back(address);
      }
      // Taken from the back.
      std::ranges::reverse(self->candidates_);
      self->ConnectNext();
    }
    uv_freeaddrinfo(found);
  };
  if (uv_getaddrinfo(loop_, &resolve_->request, on_resolved, to.host.c_str(), nullptr, &hints) != 0) {
    delete resolve_;
    resolve_ = nullptr;
    owner_->OnSocketConnectFailed(*this, core::GatedReason::kUnreachable);
  }
}

void Socket::ConnectNext() {
  if (candidates_.empty()) {
    owner_->OnSocketConnectFailed(*this, last_failure_);
    return;
  }
  const sockaddr_storage address = candidates_.back();
  candidates_.pop_back();
  // A handle whose connect has failed cannot connect again.
  CloseHandle();
  OpenHandle();
  auto* request = new uv_connect_t;
  const int status = uv_tcp_connect(request, &handle_->tcp, reinterpret_cast<const sockaddr*>(&address),
                                    [](uv_connect_t* connect, int connected) {
                                      Socket* self = Handle::Of(connect->handle)->socket;
                                      delete connect;
                                      if (self != nullptr) self->OnConnectStatus(connected);
                                    });
  if (status == 0) return;
  delete request;
  // Failed before it began; the owner acts on it only after this call.
  OnConnectStatus(status);
}

void Socket::OnConnectStatus(int status) {
  if (status != 0) {
    last_failure_ = GatedReasonOf(status);
    ConnectNext();
    return;
  }
  std::vector<sockaddr_storage>().swap(candidates_);
  StartReading();
  owner_->OnSocketConnected(*this);
}

int Socket::Open(Descriptor accepted) {
  OpenHandle();
  const int status = uv_tcp_open(&handle_->tcp, accepted.Get());
  if (status != 0) return status;
  // From here on the handle closes it.
  accepted.Release();
  StartReading();
  return 0;
}

void Socket::StartReading() {
  open_ = true;
  uv_tcp_nodelay(&handle_->tcp, 1);
  uv_read_start(
      handle_->Stream(),
      [](uv_handle_t* handle, size_t, uv_buf_t* buffer) {
        Socket* self = static_cast<Handle*>(handle->data)->socket;
        *buffer = self == nullptr ? uv_buf_init(nullptr, 0) : self->owner_->ReceiveBuffer();
      },
      [](uv_stream_t* stream, ssize_t count, const uv_buf_t* buffer) {
        Socket* self = Handle::Of(stream)->socket;
        if (self == nullptr || count == 0) return;
        if (count > 0) {
          const auto* bytes = reinterpret_cast<const uint8_t*>(buffer->base);
          self->owner_->OnSocketData(*self, core::Bytes(bytes, static_cast<size_t>(count)));
        } else {
          uv_read_stop(stream);
          self->owner_->OnSocketEnd(*self, EndKindOf(count));
        }
      });
}

uint64_t Socket::QueuedBytes() const {
  // libuv counts down the chunk it holds, so that a half-written one is half unwritten.
  const size_t in_flight =
      handle_ == nullptr || !writing_ ? 0 : uv_stream_get_write_queue_size(handle_->Stream());
  return pending_.size() - pending_offset_ + in_flight;
}

void Socket::AttachGate(std::shared_ptr<Gate> gate) {
  gate_ = std::move(gate);
  SettleGate();
}

// Called wherever bytes are queued or leave, so that what JavaScript may still queue is never underestimated
// for long.
void Socket::SettleGate() {
  if (gate_ == nullptr) return;
  const uint64_t queued = QueuedBytes();
  if (queued > gate_counted_) {
    gate_->queued_bytes.fetch_add(queued - gate_counted_, std::memory_order_relaxed);
  } else {
    gate_->queued_bytes.fetch_sub(gate_counted_ - queued, std::memory_order_relaxed);
  }
  gate_counted_ = queued;
}

uint64_t Socket::Write(core::Bytes head, core::Bytes body) {
  // Nothing leaves a broken connection; its end is about to be reported.
  if (!open_) return queued_total_;
  pending_.insert(pending_.end(), head.begin(), head.end());
  pending_.insert(pending_.end(), body.begin(), body.end());
  queued_total_ += head.size() + body.size();
  SettleGate();
  if (!dirty_) {
    dirty_ = true;
    owner_->OnSocketDirty(*this);
  }
  return queued_total_;
}

void Socket::Shutdown() {
  shutdown_wanted_ = true;
  if (!dirty_) {
    dirty_ = true;
    owner_->OnSocketDirty(*this);
  }
}

void Socket::ResetOnClose() {
  uv_os_fd_t fd = -1;
  if (handle_ == nullptr || uv_fileno(reinterpret_cast<uv_handle_t*>(&handle_->tcp), &fd) != 0) return;
  const linger at_once{.l_onoff = 1, .l_linger = 0};
  setsockopt(fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof(at_once));
}

void Socket::Flush() {
  dirty_ = false;
  // While libuv holds a chunk everything waits here, in order; its callback comes back.
  if (!open_ || writing_) return;
  while (pending_offset_ < pending_.size()) {
    const int status = TryWrite();
    if (status == UV_EAGAIN) QueueWrite();
    if (status < 0 && status != UV_EAGAIN) Broken();
    if (status < 0) break;
  }
  SettleGate();
  if (!open_ || writing_ || !shutdown_wanted_ || shutdown_begun_) return;
  shutdown_begun_ = true;
  // libuv sends the FIN after what it holds; that is nothing by now.
  auto* request = new uv_shutdown_t;
  const auto on_shutdown = [](uv_shutdown_t* done, int) { delete done; };
  if (uv_shutdown(request, handle_->Stream(), on_shutdown) != 0) delete request;
}

int Socket::TryWrite() {
  const size_t left = pending_.size() - pending_offset_;
  const auto size = static_cast<unsigned>(std::min<size_t>(left, core::limits::kWriteChunkBytes));
  const uv_buf_t buffer = uv_buf_init(reinterpret_cast<char*>(pending_.data() + pending_offset_), size);
  const int written = uv_try_write(handle_->Stream(), &buffer, 1);
  if (written < 0) return written;
  pending_offset_ += static_cast<size_t>(written);
  if (pending_offset_ == pending_.size()) {
    pending_offset_ = 0;
    // Freed, not kept: an idle link holds no memory for what it once wrote.
    std::vector<uint8_t>().swap(pending_);
  }
  return 0;
}

Descriptor Socket::HandOver() {
  // A handshake is a few kilobytes on a fresh connection: a kernel that does not take them never will.
  if (!open_ || writing_) return {};
  while (pending_offset_ < pending_.size()) {
    if (TryWrite() != 0) return {};
  }
  uv_os_fd_t fd = -1;
  if (uv_fileno(reinterpret_cast<uv_handle_t*>(&handle_->tcp), &fd) != 0) return {};
  // A duplicate, because libuv lets go of a descriptor only by closing it.
  Descriptor duplicate(fcntl(fd, F_DUPFD_CLOEXEC, 0));
  if (duplicate.IsOpen()) SetLaneOptions(duplicate.Get());
  return duplicate;
}

// The kernel is full: one chunk waits in libuv, the rest here.
void Socket::QueueWrite() {
  const size_t left = pending_.size() - pending_offset_;
  const size_t size = std::min<size_t>(left, core::limits::kWriteChunkBytes);
  const auto from = pending_.begin() + static_cast<ptrdiff_t>(pending_offset_);
  auto write = std::make_unique<WriteInFlight>();
  write->request.data = write.get();
  write->chunk.assign(from, from + static_cast<ptrdiff_t>(size));
  pending_offset_ += size;
  // Moved down only when half of it is gone, so that each byte is moved at most once on average.
  if (pending_offset_ * 2 > pending_.size()) {
    pending_.erase(pending_.begin(), pending_.begin() + static_cast<ptrdiff_t>(pending_offset_));
    pending_offset_ = 0;
  }
  const uv_buf_t buffer =
      uv_buf_init(reinterpret_cast<char*>(write->chunk.data()), static_cast<unsigned>(size));
  const auto on_written = [](uv_write_t* request, int status) {
    const std::unique_ptr<WriteInFlight> written(static_cast<WriteInFlight*>(request->data));
    Socket* self = Handle::Of(request->handle)->socket;
    if (self == nullptr) return;
    self->writing_ = false;
    if (status == 0) {
      self->Flush();
    } else {
      self->Broken();
    }
  };
  writing_ = uv_write(&write->request, handle_->Stream(), &buffer, 1, on_written) == 0;
  // Until its callback it is libuv's.
  writing_ ? void(write.release()) : Broken();
}

// The read side says how the connection ended; until then nothing more is queued for it.
void Socket::Broken() {
  open_ = false;
  pending_.clear();
  pending_offset_ = 0;
  SettleGate();
}

}  // namespace skein::io
