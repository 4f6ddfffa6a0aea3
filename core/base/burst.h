// SPDX-License-Identifier: GPL-3.0-or-later
// For many short parallel loops in a row: while a Burst lives, the workers that joined it wait for
// the next loop awake instead of going to sleep after each (waking one costs tens of microseconds,
// as long as a token's product). The loops are those of one thread, the burst's owner.
#pragma once
#include <cstddef>
#include <functional>
#include <memory>

namespace bitloom {

class Workers;

class Burst {
 public:
  explicit Burst(Workers& workers);
  ~Burst();
  Burst(const Burst&) = delete;
  Burst& operator=(const Burst&) = delete;

  // As Workers::parallelFor. The caller works too and never waits for a worker that has not begun.
  void parallelFor(size_t count, size_t grain, const std::function<void(size_t, size_t)>& body);

 private:
  struct State;
  std::shared_ptr<State> m_state;  // shared with workers that are still on their way out
};

}  // namespace bitloom
