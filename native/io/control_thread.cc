// The loop of the control thread: commands and sockets are polled, deadlines fire, and before it sleeps again
// what was queued is flushed in one write per socket.
#include "control_thread.h"

#include <fcntl.h>
#include <pthread.h>
#include <signal.h>

#include <algorithm>
#include <chrono>
#include <condition_variable>
#include <utility>

#include "node_host.h"

namespace skein::io {
namespace {

// Neither is ever destroyed: a process may exit while the thread still runs.
std::mutex& RegistryMutex() {
  static std::mutex* const mutex = new std::mutex;
  return *mutex;
}

ControlThread* g_thread = nullptr;  // guarded by RegistryMutex
int g_references = 0;               // guarded by RegistryMutex

// Two turns: one whose poll may have begun before the pause, and a whole one after it.
constexpr int kTurnsAfterPause = 2;

// An ordinary end takes a millisecond.
constexpr std::chrono::milliseconds kJoinPatience{250};

void CloseHandle(void* handle) { uv_close(static_cast<uv_handle_t*>(handle), nullptr); }

}  // namespace

struct ControlThread::Exit {
  std::mutex mutex;
  std::condition_variable changed;
  bool ended = false;     // the loop is closed
  bool orphaned = false;  // nobody joins: the thread deletes its ControlThread
};

ControlThread* ControlThread::Acquire() {
  // A thread that is being joined holds the lock, so that there are never two.
  const std::lock_guard<std::mutex> lock(RegistryMutex());
  if (g_references == 0) {
    auto* thread = new ControlThread;
    if (!thread->Start()) {
      delete thread;
      return nullptr;
    }
    g_thread = thread;
  }
  ++g_references;
  return g_thread;
}

void ControlThread::Release() {
  // Held while joining, so that the next Acquire starts a thread only after this one is gone.
  const std::lock_guard<std::mutex> lock(RegistryMutex());
  if (--g_references > 0) return;
  std::exchange(g_thread, nullptr)->StopAndJoin();
}

bool ControlThread::Start() {
  if (uv_loop_init(&loop_) != 0) return false;
  exit_ = std::make_shared<Exit>();
  uv_timer_init(&loop_, &timer_);
  uv_prepare_init(&loop_, &prepare_);
  timer_.data = prepare_.data = wake_.data = this;
  int status =
      uv_async_init(&loop_, &wake_, [](uv_async_t* h) { static_cast<ControlThread*>(h->data)->OnWake(); });
  if (status == 0) {
    uv_prepare_start(&prepare_, [](uv_prepare_t* h) { static_cast<ControlThread*>(h->data)->OnPrepare(); });
    // Signals are the main thread's business.
    sigset_t all;
    sigset_t former;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &former);
    status = uv_thread_create(
        &thread_,
        [](void* data) {
          auto* thread = static_cast<ControlThread*>(data);
#if defined(__linux__)
          pthread_setname_np(pthread_self(), "skein-control");
#endif
          uv_run(&thread->loop_, UV_RUN_DEFAULT);
          uv_loop_close(&thread->loop_);
          const std::shared_ptr<Exit> exit = thread->exit_;
          const std::lock_guard<std::mutex> lock(exit->mutex);
          exit->ended = true;
          if (exit->orphaned) delete thread;
          exit->changed.notify_one();
        },
        this);
    pthread_sigmask(SIG_SETMASK, &former, nullptr);
    if (status != 0) CloseHandle(&wake_);
  }
  if (status == 0) return true;
  CloseHandle(&timer_);
  CloseHandle(&prepare_);
  uv_run(&loop_, UV_RUN_DEFAULT);
  uv_loop_close(&loop_);
  return false;
}

void ControlThread::StopAndJoin() {
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    stopping_ = true;
  }
  // The thread may delete this object as soon as it is orphaned, so that nothing of it is touched after.
  Wake();
  const std::shared_ptr<Exit> exit = exit_;
  std::unique_lock<std::mutex> lock(exit->mutex);
  exit->changed.wait_for(lock, kJoinPatience, [&exit] { return exit->ended; });
  if (!exit->ended) {
    exit->orphaned = true;
    pthread_detach(thread_);
    return;
  }
  lock.unlock();
  uv_thread_join(&thread_);
  delete this;
}

void ControlThread::Call(const std::function<void()>& task) {
  std::mutex done_mutex;
  std::condition_variable done_changed;
  bool done = false;
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    tasks_.push_back([&] {
      task();
      // Notified under the lock: the waiter's frame must not go away in between.
      const std::lock_guard<std::mutex> done_lock(done_mutex);
      done = true;
      done_changed.notify_one();
    });
  }
  // The control thread never waits for JavaScript, so that this cannot deadlock.
  Wake();
  std::unique_lock<std::mutex> lock(done_mutex);
  done_changed.wait(lock, [&] { return done; });
}

void ControlThread::Attach(std::shared_ptr<NodeHost> host) { hosts_.push_back(std::move(host)); }

void ControlThread::Detach(const NodeHost* host) {
  std::erase_if(hosts_, [host](const std::shared_ptr<NodeHost>& attached) { return attached.get() == host; });
}

uv_buf_t ControlThread::ReceiveBuffer() {
  return uv_buf_init(receive_buffer_.data(), static_cast<unsigned>(receive_buffer_.size()));
}

void ControlThread::EnsureReserve() {
  if (!reserve_.IsOpen()) reserve_ = Descriptor(open("/dev/null", O_RDONLY | O_CLOEXEC));
}

void ControlThread::WithReserve(const std::function<void()>& run) {
  reserve_ = Descriptor();
  run();
  EnsureReserve();
}

uint64_t ControlThread::Now() {
  const uint64_t now_us = uv_hrtime() / 1000;
  const uint64_t gap_us = pause_meter_.Tick(now_us);
  if (gap_us != 0) {
    paused_us_ += core::PauseMeter::ExcessUs(gap_us);
    turns_before_deadlines_ = kTurnsAfterPause;
    for (const auto& host : hosts_) host->OnPaused(gap_us);
  }
  return now_us;
}

void ControlThread::RunTasks() {
  std::vector<std::function<void()>> tasks;
  bool stopping;
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    tasks.swap(tasks_);
    stopping = stopping_;
  }
  // Outside of the lock: a task may take long, and posting must not.
  for (const auto& task : tasks) task();
  // With its handles closed the loop ends once the last lookup has.
  if (!stopping || uv_is_closing(reinterpret_cast<uv_handle_t*>(&wake_)) != 0) return;
  CloseHandle(&wake_);
  CloseHandle(&timer_);
  CloseHandle(&prepare_);
}

void ControlThread::OnWake() {
  const uint64_t now_us = Now();
  RunTasks();
  for (const auto& host : hosts_) host->RunCommands(now_us);
}

void ControlThread::OnPrepare() {
  const uint64_t now_us = Now();
  uint64_t next_us = now_us + uint64_t{core::limits::kTickMs} * 1000;
  for (const auto& host : hosts_) {
    host->Settle(now_us);
    next_us = std::min(next_us, host->NextDeadline());
  }
  const bool soon = turns_before_deadlines_ > 0 || next_us <= now_us;
  // libuv counts from the time it last looked at the clock, which may be a long callback ago.
  uv_update_time(&loop_);
  // Rounded up to libuv's milliseconds; one that still comes early finds nothing due and is armed again.
  const uint64_t timeout_ms = soon ? 0 : (next_us - now_us + 999) / 1000;
  uv_timer_start(
      &timer_, [](uv_timer_t* h) { static_cast<ControlThread*>(h->data)->OnTimer(); }, timeout_ms, 0);
}

void ControlThread::OnTimer() {
  const uint64_t now_us = Now();
  // Armed again at once by the next prepare; in between the sockets are read.
  if (turns_before_deadlines_ > 0) {
    --turns_before_deadlines_;
    return;
  }
  for (const auto& host : hosts_) host->OnDeadline(now_us);
}

}  // namespace skein::io
