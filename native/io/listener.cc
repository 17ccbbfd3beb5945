// The listening half of NodeHost: resolve, bind, listen, accept. It accepts by itself: out of descriptors
// libuv closes connections without a word.
#include <fcntl.h>
#include <sys/socket.h>

#include <cerrno>
#include <cstring>

#include "../core/limits.h"
#include "node_host.h"

namespace skein::io {
namespace {

uint16_t PortOf(const sockaddr_storage& address) {
  return ntohs(address.ss_family == AF_INET6 ? reinterpret_cast<const sockaddr_in6&>(address).sin6_port
                                             : reinterpret_cast<const sockaddr_in&>(address).sin_port);
}

// Not open: errno says why.
Descriptor AcceptFrom(int listening, std::string* remote) {
  sockaddr_storage address{};
  socklen_t length = sizeof(address);
#if defined(__linux__)
  const int flags = SOCK_CLOEXEC | SOCK_NONBLOCK;
  Descriptor accepted(accept4(listening, reinterpret_cast<sockaddr*>(&address), &length, flags));
#else
  // libuv makes it non-blocking when it takes it over.
  Descriptor accepted(accept(listening, reinterpret_cast<sockaddr*>(&address), &length));
  if (accepted.IsOpen()) fcntl(accepted.Get(), F_SETFD, FD_CLOEXEC);
#endif
  if (accepted.IsOpen()) *remote = FormatSockaddr(reinterpret_cast<sockaddr*>(&address));
  return accepted;
}

bool IsExhausted(int error) {
  return error == EMFILE || error == ENFILE || error == ENOBUFS || error == ENOMEM;
}

// Binds and listens; a libuv status. `bound` is what the kernel made of the address.
int Listen(uv_loop_t* loop, const sockaddr_storage& address, Descriptor* listening, sockaddr_storage* bound) {
  // libuv's handle knows how each system wants it bound, and is left again with a duplicate.
  auto* tcp = new uv_tcp_t;
  uv_tcp_init(loop, tcp);
  int status = uv_tcp_bind(tcp, reinterpret_cast<const sockaddr*>(&address), 0);
  int length = sizeof(*bound);
  // What binding found out late comes out here.
  if (status == 0) status = uv_tcp_getsockname(tcp, reinterpret_cast<sockaddr*>(bound), &length);
  uv_os_fd_t fd = -1;
  if (status == 0) status = uv_fileno(reinterpret_cast<uv_handle_t*>(tcp), &fd);
  if (status == 0 && listen(fd, core::limits::kListenBacklog) != 0) status = uv_translate_sys_error(errno);
  if (status == 0) {
    *listening = Descriptor(fcntl(fd, F_DUPFD_CLOEXEC, 0));
    if (!listening->IsOpen()) status = uv_translate_sys_error(errno);
  }
  uv_close(reinterpret_cast<uv_handle_t*>(tcp),
           [](uv_handle_t* handle) { delete reinterpret_cast<uv_tcp_t*>(handle); });
  return status;
}

}  // namespace

// The handle outlives its host until libuv has closed it; `host` is cleared first.
struct NodeHost::Listener {
  uv_poll_t poll{};
  Descriptor socket;
  NodeHost* host = nullptr;
  // Not polled until then: there was nothing to accept with. 0: polled.
  uint64_t resume_us = 0;
  uint64_t told_us = 0;  // last event about connections that were closed for want of descriptors
};

struct NodeHost::Resolve {
  uv_getaddrinfo_t request{};
  NodeHost* host = nullptr;
};

void NodeHost::Listen() {
  sockaddr_storage literal{};
  if (ParseLiteral(options_.plane.bind, &literal)) return ListenOn(literal);
  resolve_ = new Resolve;
  resolve_->host = this;
  resolve_->request.data = resolve_;
  addrinfo hints{};
  hints.ai_family = AF_UNSPEC;
  hints.ai_socktype = SOCK_STREAM;
  const auto on_resolved = [](uv_getaddrinfo_t* request, int status, addrinfo* found) {
    const std::unique_ptr<Resolve> resolve(static_cast<Resolve*>(request->data));
    NodeHost* self = resolve->host;
    if (self != nullptr) {
      self->resolve_ = nullptr;
      if (status != 0 || found == nullptr) {
        self->StartFailed(status, "resolve");
      } else {
        sockaddr_storage address{};
        std::memcpy(&address, found->ai_addr, std::min<size_t>(found->ai_addrlen, sizeof(address)));
        const uint16_t port = htons(self->options_.plane.bind.port);
        address.ss_family == AF_INET6 ? reinterpret_cast<sockaddr_in6*>(&address)->sin6_port = port
                                      : reinterpret_cast<sockaddr_in*>(&address)->sin_port = port;
        if (!self->closing_) self->ListenOn(address);
        self->RunEarlyCommands(self->thread_->Now());
      }
    }
    uv_freeaddrinfo(found);
  };
  const char* host = options_.plane.bind.host.c_str();
  const int status = uv_getaddrinfo(thread_->Loop(), &resolve_->request, on_resolved, host, nullptr, &hints);
  if (status == 0) return;
  delete std::exchange(resolve_, nullptr);
  StartFailed(status, "resolve");
}

void NodeHost::ListenOn(const sockaddr_storage& address) {
  auto listener = std::make_unique<Listener>();
  sockaddr_storage bound{};
  int status = io::Listen(thread_->Loop(), address, &listener->socket, &bound);
  if (status == 0) status = uv_poll_init(thread_->Loop(), &listener->poll, listener->socket.Get());
  if (status != 0) return StartFailed(status, "bind");
  listener_ = listener.release();
  listener_->host = this;
  listener_->poll.data = listener_;
  thread_->EnsureReserve();
  ResumeAccepting();
  const uint16_t port = PortOf(bound);
  core::ControlPlaneOptions plane = options_.plane;
  // The address, not the name: two nodes must agree on what is the same address.
  char host[INET6_ADDRSTRLEN] = "";
  if (uv_ip_name(reinterpret_cast<sockaddr*>(&bound), host, sizeof(host)) == 0) plane.bind.host = host;
  plane.bind.port = port;
  plane.advertised = options_.advertise.value_or(plane.bind);
  if (plane.advertised.port == 0) plane.advertised.port = port;
  core::Event event{.type = core::EventType::kStarted};
  const core::Endpoint advertised = plane.advertised;
  event.address = &advertised;
  plane_ = std::make_unique<core::ControlPlane>(std::move(plane), this, &counters_, &auth_);
  Emit(event);
}

void NodeHost::StartFailed(int status, const char* what) {
  const std::string text = std::string(uv_err_name(status)) + " " + what + " " +
                           core::FormatEndpoint(options_.plane.bind) + ": " + uv_strerror(status);
  core::Event event{.type = core::EventType::kStartFailed};
  event.text = text;
  Emit(event);
}

void NodeHost::ResumeAccepting() {
  listener_->resume_us = 0;
  uv_poll_start(&listener_->poll, UV_READABLE, [](uv_poll_t* poll, int status, int) {
    NodeHost* self = static_cast<Listener*>(poll->data)->host;
    if (self == nullptr) return;
    const uint64_t now_us = self->thread_->Now();
    self->AcceptAll(now_us);
    // libuv has stopped polling for an error.
    if (status < 0) self->PauseAccepting(now_us);
  });
}

// Looked at again after a tick: polling for what cannot be accepted would spin.
void NodeHost::PauseAccepting(uint64_t now_us) {
  uv_poll_stop(&listener_->poll);
  listener_->resume_us = now_us + uint64_t{core::limits::kTickMs} * 1000;
}

void NodeHost::ResumeAcceptingIfDue(uint64_t now_us) {
  if (listener_ == nullptr || listener_->resume_us == 0 || now_us < listener_->resume_us) return;
  ResumeAccepting();
}

void NodeHost::AcceptAll(uint64_t now_us) {
  // What is left is ready again in the next turn, after the other sockets had theirs.
  for (uint32_t count = 0; count < core::limits::kAcceptsPerTurnMax; ++count) {
    std::string remote;
    Descriptor accepted = AcceptFrom(listener_->socket.Get(), &remote);
    const int error = errno;
    if (accepted.IsOpen()) {
      Admit(std::move(accepted), remote, now_us);
    } else if (WouldBlock(error)) {
      return;
    } else if (IsExhausted(error)) {
      // Asked before the kernel looks whether anybody waits at all.
      const int closed = CloseNext(now_us);
      if (WouldBlock(closed)) return;
      if (closed != 0) return PauseAccepting(now_us);
    }
    // Anything else is the end of that one connection.
  }
}

void NodeHost::Admit(Descriptor accepted, const std::string& remote, uint64_t now_us) {
  // Accepted even when it will be refused: a backlog that nobody empties would refuse everybody.
  auto socket = std::make_unique<Socket>(thread_->Loop(), this, 0);
  if (socket->Open(std::move(accepted)) != 0) return;
  const core::ConnectionId id = plane_->OnAccepted(remote, now_us);
  // Too many handshakes: the socket closes with this scope.
  if (id == 0) return;
  socket->SetId(id);
  sockets_[id] = std::move(socket);
}

// Out of descriptors: the next connection is accepted with the one kept for this, and closed, so that its
// dialler knows. 0, or why that could not be.
int NodeHost::CloseNext(uint64_t now_us) {
  std::string remote = "?";
  int error = 0;
  thread_->WithReserve([&] {
    const Descriptor accepted = AcceptFrom(listener_->socket.Get(), &remote);
    error = accepted.IsOpen() ? 0 : errno;
  });
  if (WouldBlock(error)) return error;
  counters_.Add(core::Counter::kAcceptsFailed);
  // Once a second is enough to act upon; the counter has them all.
  constexpr uint64_t kToldEveryUs = 1'000'000;
  if (listener_->told_us != 0 && now_us - listener_->told_us < kToldEveryUs) return error;
  listener_->told_us = now_us;
  core::Event event{.type = core::EventType::kBadInput};
  event.reason = static_cast<uint8_t>(core::BadInputReason::kTooManyConnections);
  event.text = remote;
  counters_.Add(core::BadInputReason::kTooManyConnections);
  Emit(event);
  return error;
}

void NodeHost::CloseListener() {
  if (resolve_ != nullptr) {
    // Keeps the close waiting if it runs already; libuv's thread pool cannot be interrupted.
    uv_cancel(reinterpret_cast<uv_req_t*>(&resolve_->request));
    if (finished_) std::exchange(resolve_, nullptr)->host = nullptr;
  }
  if (listener_ == nullptr) return;
  listener_->host = nullptr;
  uv_close(reinterpret_cast<uv_handle_t*>(&listener_->poll),
           [](uv_handle_t* handle) { delete static_cast<Listener*>(handle->data); });
  // At once: after this the address can be listened on again.
  listener_->socket = Descriptor();
  listener_ = nullptr;
}

}  // namespace skein::io
