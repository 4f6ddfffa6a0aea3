// SPDX-License-Identifier: GPL-3.0-or-later
// Evolutionary search by measured damage (EvoPress, arXiv 2410.14649) from the knapsack's answer: a
// child moves some tensors one hull step up and as many others down, of equal bytes where there
// are such, and the least measured damage of a generation, parent included, becomes the parent.
// Chance depends on a fixed seed alone.
#include <algorithm>

#include "core/allocators/knapsack/relaxation.h"
#include "core/base/random.h"

namespace bitloom {
namespace {

constexpr int kGenerations = 12;
constexpr int kChildren = 16;

class Evolution {
 public:
  Evolution(const AllocationTask& task, JobContext& job) : m_task(task), m_job(job) {
    for (const AllocationItem& item : task.items) m_hulls.push_back(lowerHull(item.options));
  }

  Result<Allocation> run() {
    TRY(Allocation allocation, solveRelaxed(m_task.items, m_task.budget, m_job));
    std::vector<size_t> parent = allocation.option;
    m_job.begin(uint64_t(kGenerations) * kChildren + 1, "plans");
    TRY(double best, measure(parent));
    for (int generation = 0; generation < kGenerations; ++generation) {
      std::vector<size_t> next = parent;
      for (int child = 0; child < kChildren; ++child) {
        std::vector<size_t> options = mutate(parent);
        if (options == parent) {
          m_job.advance();
          continue;
        }
        TRY(const double damage, measure(options));
        if (damage >= best) continue;
        best = damage;
        next = std::move(options);
      }
      parent = std::move(next);
    }
    allocation.option = std::move(parent);
    sumUp(m_task.items, allocation);
    return allocation;
  }

 private:
  Result<double> measure(const std::vector<size_t>& options) {
    return measureChoice(m_task, options, m_job);
  }

  size_t random(size_t count) { return size_t(nextRandom(m_state) % count); }

  uint64_t bytesOf(size_t item, size_t option) const {
    return m_task.items[item].options[option].bytes;
  }

  size_t step(size_t item, size_t option, bool up) const {
    return hullNeighbour(m_task.items[item], m_hulls[item], option, up);
  }

  std::vector<size_t> mutate(const std::vector<size_t>& parent) {
    std::vector<size_t> options = parent;
    const size_t switches = 1 + std::min(random(3), random(3));
    for (size_t n = 0; n < switches; ++n) exchange(options);
    return options;
  }

  // Raises a random item and lowers others until the budget holds again; no change when they
  // cannot.
  void exchange(std::vector<size_t>& options) {
    uint64_t used = 0;
    for (size_t i = 0; i < options.size(); ++i) used += bytesOf(i, options[i]);
    std::vector<size_t> changed = options;
    const size_t raised = random(options.size());
    changed[raised] = step(raised, options[raised], true);
    if (changed[raised] == options[raised]) return;
    const uint64_t more = bytesOf(raised, changed[raised]) - bytesOf(raised, options[raised]);
    used += more;
    std::vector<size_t> equal, others;
    for (size_t i = 0; i < options.size(); ++i) {
      const size_t lower = step(i, options[i], false);
      if (i == raised || lower == options[i]) continue;
      const uint64_t less = bytesOf(i, options[i]) - bytesOf(i, lower);
      (less == more ? equal : others).push_back(i);
    }
    if (!equal.empty()) others = {equal[random(equal.size())]};
    while (used > m_task.budget || !equal.empty()) {
      if (others.empty()) return;
      const size_t at = random(others.size());
      const size_t item = others[at];
      others.erase(others.begin() + std::ptrdiff_t(at));
      const size_t lower = step(item, changed[item], false);
      used -= bytesOf(item, changed[item]) - bytesOf(item, lower);
      changed[item] = lower;
      equal.clear();
    }
    options = std::move(changed);
  }

  const AllocationTask& m_task;
  JobContext& m_job;
  std::vector<std::vector<size_t>> m_hulls;
  uint64_t m_state = 1;
};

Result<Allocation> evolve(const AllocationTask& task, JobContext& job) {
  TRY(wantsMeasuring(task, "evolution"));
  return Evolution(task, job).run();
}

}  // namespace

extern const Allocator allocator_evolution;
const Allocator allocator_evolution{
    "evolution",
    "Starts from the knapsack and keeps exchanges of bits that lower the measured divergence; "
    "minutes, and no proxy in it.",
    evolve};

}  // namespace bitloom
