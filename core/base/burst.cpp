// SPDX-License-Identifier: GPL-3.0-or-later
// One word says which loop is on and how many of its chunks nobody has taken: (loop, left). To take
// chunks is to lower `left` by compare-and-swap, which fails when the loop is another one than was
// read; so what a worker has read of the loop (body, count, grain) is what belongs to its chunks.
// The owner writes these only when all chunks of the loop before are done. Chunks are taken in
// ascending runs, long ones first: what a loop reads is mostly read in one go, and the threads end
// together.
#include "core/base/burst.h"

#include <algorithm>
#include <atomic>
#include <exception>
#include <mutex>
#include <thread>

#include "core/base/job.h"

namespace bitloom {
namespace {

constexpr uint64_t kLoop = uint64_t{1} << 32;
constexpr uint64_t kLeft = kLoop - 1;
constexpr int kSpins = 4000;  // some 100 µs; after that others may have the processor

void pauseBriefly() {
#ifdef __x86_64__
  __builtin_ia32_pause();
#endif
}

}  // namespace

struct Burst::State {
  using Body = std::function<void(size_t, size_t)>;

  std::atomic<uint64_t> loop = 0;
  std::atomic<const Body*> body = nullptr;
  std::atomic<size_t> count = 0;
  std::atomic<size_t> grain = 1;
  std::atomic<size_t> chunks = 0;
  std::atomic<size_t> done = 0;  // chunks of this loop
  std::atomic<bool> over = false;
  std::mutex mutex;  // guards failure
  std::exception_ptr failure;

  explicit State(size_t all) : threads(all) {}
  const size_t threads;

  // Runs some chunks, if any are left.
  bool runSome() {
    uint64_t seen = loop.load(std::memory_order_acquire);
    if ((seen & kLeft) == 0) return false;
    const Body* wanted = body.load(std::memory_order_relaxed);
    const size_t all = count.load(std::memory_order_relaxed);
    const size_t size = grain.load(std::memory_order_relaxed);
    const size_t last = chunks.load(std::memory_order_relaxed);
    const size_t left = seen & kLeft;
    const size_t run = std::max<size_t>(1, left / (2 * threads));
    if (!loop.compare_exchange_strong(seen, seen - run, std::memory_order_acq_rel)) return true;
    const size_t first = last - left;
    try {
      for (size_t begin = first * size; begin < std::min((first + run) * size, all);
           begin += size) {
        (*wanted)(begin, begin + std::min(size, all - begin));
      }
    } catch (...) {
      const std::lock_guard lock(mutex);
      failure = std::current_exception();
    }
    done.fetch_add(run, std::memory_order_release);
    return true;
  }

  void serve() {
    for (int idle = 0; !over.load(std::memory_order_relaxed);) {
      if (runSome()) {
        idle = 0;
      } else if (++idle < kSpins) {
        pauseBriefly();
      } else {
        std::this_thread::yield();
      }
    }
  }
};

Burst::Burst(Workers& workers) : m_state(std::make_shared<State>(size_t(workers.threads()))) {
  for (int i = 1; i < workers.threads(); ++i) {
    workers.enqueue([state = m_state] { state->serve(); });
  }
}

Burst::~Burst() { m_state->over = true; }

void Burst::parallelFor(size_t count, size_t grain,
                        const std::function<void(size_t, size_t)>& body) {
  CHECK(grain > 0);
  State& state = *m_state;
  const size_t chunks = count / grain + (count % grain != 0);
  if (chunks <= 1) {
    if (chunks == 1) body(0, count);
    return;
  }
  CHECK(chunks <= kLeft);
  state.body.store(&body, std::memory_order_relaxed);
  state.count.store(count, std::memory_order_relaxed);
  state.grain.store(grain, std::memory_order_relaxed);
  state.chunks.store(chunks, std::memory_order_relaxed);
  state.done.store(0, std::memory_order_relaxed);
  const uint64_t last = state.loop.load(std::memory_order_relaxed) / kLoop;
  state.loop.store((last + 1) * kLoop + chunks, std::memory_order_release);
  while (state.runSome()) {
  }
  for (int idle = 0; state.done.load(std::memory_order_acquire) < chunks; ++idle) {
    if (idle < kSpins) {
      pauseBriefly();
    } else {
      std::this_thread::yield();
    }
  }
  if (state.failure) std::rethrow_exception(std::exchange(state.failure, nullptr));
}

}  // namespace bitloom
